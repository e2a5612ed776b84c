"""Ways for IP packets from port to port past the firewall of the machine.

Where the switch side is the machine's own namespace, bridged IP packets pass its iptables (br_netfilter): the Docker
Engine sets the policy DROP for what is forwarded, accepts what crosses its own bridges, and drops on those of internal
networks whatever has an address of another network. So it drops all packets on a wire, and on an internal network
routed ones, multicasts and those to 255.255.255.255. The rules here take these packets at the port where they come in,
before the bridge does, and send them out of the ports that they are for, where the rules of links are. ARP, and
everything else that is not IP, takes the bridge.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from testbed.agent import u32
from testbed.agent.filter_hooks import add_hook
from testbed.agent.netlink import CREATE, EXCL

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from testbed.agent.netlink import RouteSocket

_PROTOCOLS = {5: 0x0800, 6: 0x86DD}
"""By priority, the EtherTypes of IPv4 and IPv6: a priority has rules of one protocol. Those of `filters` come first."""

_TO_MANY = u32.Key(0x0000_0100, 0x0000_0100, -16)
"""The bit of a destination MAC that broadcasts and multicasts have."""

EVERY = ""
"""In place of a MAC: packets to every one."""

_NONE_THERE = (errno.ENOENT, errno.EINVAL)


MOST_TOGETHER = 32
"""To how many ports packets to a group of nodes go at most: the kernel's limit on the actions of a rule."""


def set_ways(route: RouteSocket, port: int, ways: Mapping[str, int], to_many: Sequence[int] = ()) -> None:
    """Let IP packets that come in at a port go out of others, in place of the ways that it has.

    Args:
        route: in the namespace of the ports.
        port: index of the device.
        ways: by destination MAC, the index of the device to leave by; or `EVERY`.
        to_many: the devices that packets to more than one node leave by; if there are more than `MOST_TOGETHER`, the
            bridge has such packets.

    Raises:
        OSError: the kernel's refusal.
    """
    add_hook(route, port)
    for priority, protocol in _PROTOCOLS.items():
        place = u32.RulePlace(u32.INGRESS, priority, protocol)
        none = u32.message(port, 0, place=place)
        route.send([(u32.DELETE_FILTER, 0, none)], tolerated=_NONE_THERE)
        rules = [
            u32.rule(port, 0, _destination(mac), actions=u32.redirect(device), place=place)
            for mac, device in ways.items()
        ]
        if 0 < len(to_many) <= MOST_TOGETHER:
            *others, last = to_many
            actions = [*(u32.mirror(device) for device in others), u32.redirect(last)]
            rules.append(u32.rule(port, 0, (_TO_MANY,), actions=actions, place=place))
        route.send([(u32.NEW_FILTER, CREATE | EXCL, rule) for rule in rules])


def _destination(mac: str) -> tuple[u32.Key, ...]:
    """Return what a rule for a destination MAC compares: it begins 14 bytes before the network header."""
    if mac == EVERY:
        return ()
    octets = bytes.fromhex(mac.replace(":", ""))
    high, low = int.from_bytes(octets[:2]), int.from_bytes(octets[2:])
    return u32.Key(0x0000_FFFF, high, -16), u32.Key(0xFFFF_FFFF, low, -12)
