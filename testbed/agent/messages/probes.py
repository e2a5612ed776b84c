"""What the agent finds out from inside a node: its addresses, whether servers answer, how its NAT behaves."""

from __future__ import annotations

from testbed.agent.messages.calls import Call, Payload


class Accepts(Call[bool], frozen=True, kw_only=True):
    """Ask whether a TCP port of a node accepts connections, tried from inside the node."""

    node: str
    address: str
    port: int


class UdpBound(Call[tuple[str, ...]], frozen=True, kw_only=True):
    """Ask to which addresses programs of a node have bound a UDP port, for datagrams of any sender."""

    node: str
    port: int


class FoundAddress(Payload, frozen=True, kw_only=True):
    """An IPv4 address of a node's interface, which is not the loopback; `mtu` is bytes of an IP packet."""

    interface: str
    address: str
    prefix_length: int
    mtu: int


class FoundNamespace(Payload, frozen=True, kw_only=True):
    """What is in a node's network namespace; `number` is its inode, which tells it from others."""

    number: int
    addresses: tuple[FoundAddress, ...]


class Look(Call[FoundNamespace], frozen=True, kw_only=True):
    """Ask which addresses a node has."""

    node: str


class Reaches(Call[bool], frozen=True, kw_only=True):
    """Ask whether packets of a node reach an address and come back, tried from inside the node."""

    node: str
    address: str


class NextHops(Call[dict[str, dict[str, tuple[str, ...]]]], frozen=True, kw_only=True):
    """Ask to which next hops nodes send packets for addresses, by the routes that their kernels have now.

    The result has, by node and address, the addresses of the next hops: several where the node spreads packets over
    them, none where the address is unreachable, or on a network of the node.

    Attributes:
        nodes: the addresses to look up, by node.
    """

    nodes: dict[str, tuple[str, ...]]


class Distance(Payload, frozen=True, kw_only=True):
    """How far another machine is.

    Attributes:
        device: of this machine, by which packets to it leave.
        mtu: of that device, bytes of an IP packet.
        round_trip_ns: the fastest round trip; None if none was asked for, or there was no answer.
    """

    device: str
    mtu: int
    round_trip_ns: int | None


class Distances(Call[dict[str, Distance]], frozen=True, kw_only=True):
    """Ask how far other machines are, by their IPv4 addresses.

    Attributes:
        addresses: of the machines.
        port: of TCP, to which connections are made and closed at once.
        times: how many round trips to measure to each.
    """

    addresses: tuple[str, ...]
    port: int = 0
    times: int = 0


class HttpStatus(Call[int], frozen=True, kw_only=True):
    """Ask with which status an HTTP server of a node answers a GET, tried from inside the node; 0 if it does not."""

    node: str
    address: str
    port: int
    path: str


class NatObservation(Payload, frozen=True, kw_only=True):
    """How a NAT treated datagrams.

    Attributes:
        mapped: the ports outside of one socket inside, towards two ports of an address and two ports of another.
        lets_in_addresses: a datagram reached a socket from an address that it had not sent to.
        lets_in_ports: one did from another port of an address that it had sent to.
        hairpins: two sockets inside reached each other by their endpoints outside.
        lasts: whether a mapping was there after 3/4 of its timeout, and after 5/4 and a second; None if not asked for.
    """

    mapped: tuple[int, ...]
    lets_in_addresses: bool
    lets_in_ports: bool
    hairpins: bool
    lasts: tuple[bool, bool] | None


class ProbeNat(Call[NatObservation], frozen=True, kw_only=True):
    """Find out how the NAT of a node behaves between two of its networks.

    Attributes:
        inside_addresses: two that no node has, to send from inside.
        outside_addresses: two more, outside.
        timeout_ns: find out whether mappings last so long, which takes longer; 0: do not.
    """

    node: str
    inside: str
    outside: str
    inside_addresses: tuple[str, str]
    outside_addresses: tuple[str, str]
    timeout_ns: int = 0
