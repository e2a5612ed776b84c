"""Rules about a node's own MTU and MAC on a network: the MTU fits, and no other node has the MAC."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from testbed.families import IPV6
from testbed.topology.base import Fault
from testbed.topology.problems import quote
from testbed.topology.rules.addressing import SMALLEST_IPV6_MTU

if TYPE_CHECKING:
    from testbed.topology.document import Path
    from testbed.topology.networks import Attachment, NetworkKeys
    from testbed.topology.rules.parts import Parts


def attachments(parts: Parts) -> Iterator[Fault]:
    """An interface takes no larger packets than its network, and its MAC is that of one node there."""
    owners: dict[tuple[str, str], str] = {}
    for name, node in parts.each.items():
        written = parts.written[name]
        for network, attachment in node.networks.items() if isinstance(node.networks, Mapping) else ():
            path: Path = ("nodes", written, "networks", network)
            if (of := parts.networks.get(network)) is not None and name in parts.members(written)[:1]:
                yield from _faults(attachment, of, path)
                if attachment.mtu and attachment.mtu < SMALLEST_IPV6_MTU and IPV6 in parts.families_of(network):
                    said = f"is {attachment.mtu}, and IPv6 has packets of at least {SMALLEST_IPV6_MTU} bytes"
                    hint = "RFC 8200, section 5; raise it, or say ip: 4 for the network"
                    yield Fault((*path, "mtu"), "mtu-too-small", said, hint)
            if attachment.mac:
                owner = owners.setdefault((network, attachment.mac), name)
                if owner != name:
                    said = f"gives {name} {attachment.mac} on {network}, which is {owner}'s"
                    yield Fault((*path, "mac"), "mac-taken", said, "each node on a network has a MAC of its own")


def _faults(attachment: Attachment, network: NetworkKeys, path: Path) -> Iterator[Fault]:
    if attachment.mtu and attachment.mtu > network.mtu:
        said = f"is {attachment.mtu}, more than the network's MTU, {network.mtu}"
        hint = f"raise the network's, or leave it out: the interface then has {network.mtu}"
        yield Fault((*path, "mtu"), "mtu-too-large", said, hint)
    if attachment.mac and network.present:
        said = f"is {attachment.mac}, but {quote(network.present)} is there already, and its engine chooses MACs there"
        yield Fault((*path, "mac"), "mac-of-present-network", said, "leave the MAC out")
