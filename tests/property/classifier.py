"""A reference for matches: reads an IP packet by its headers, and says which match takes it first."""

import struct

WITH_PORTS = {6, 17, 33, 132, 136}


def fields(packet, ether_type):
    """Protocol, DSCP, and both ports of a packet; None for what it has not where a router would look."""
    if ether_type == 0x0800:
        header = 4 * (packet[0] & 15)
        later = int.from_bytes(packet[6:8], "big") & 0x1FFF
        ports = None if later else struct.unpack_from("!HH", packet, header)
        return packet[9], packet[1] >> 2, ports
    if ether_type == 0x86DD:
        word = int.from_bytes(packet[:4], "big")
        return packet[6], (word >> 22) & 63, struct.unpack_from("!HH", packet, 40)
    return None


def within(port, ranges):
    return any(first <= port <= last for first, last in ranges)


def takes(match, found):
    """Whether a match takes a packet with these fields."""
    if found is None:
        return False
    protocol, dscp, ports = found
    return (
        match.dscp in (None, dscp)
        and match.protocol in (None, protocol)
        and (not (match.port or match.source_port or match.destination_port) or takes_ports(match, protocol, ports))
    )


def takes_ports(match, protocol, ports):
    """Whether a match with ports takes a packet with these; a port without a protocol is of TCP or UDP."""
    if ports is None or protocol not in (WITH_PORTS if match.protocol is not None else {6, 17}):
        return False
    source, destination = ports
    if match.port:
        return within(source, match.port) or within(destination, match.port)
    return (not match.source_port or within(source, match.source_port)) and (
        not match.destination_port or within(destination, match.destination_port)
    )
