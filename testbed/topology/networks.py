"""Networks of the topology file, and the places of nodes on them."""

from collections.abc import Collection
from ipaddress import ip_network
from typing import Annotated

from pydantic import Field

from testbed.families import Address, Subnet
from testbed.topology.address_values import Addresses, Families, Subnets
from testbed.topology.base import Model, key
from testbed.topology.values import DockerName, Mac, Mtu, following_mac

_PREFIXES = {4: 24, 6: 64}
"""Bits of the network part of a subnet that the addresses of its nodes decide, by family."""


class NetworkKeys(Model):
    """One L2 segment."""

    families: Families | None = key(
        "The families of IP that it has: 4, 6 or both; those of the file unless given",
        alias="ip",
        default=None,
        example="both",
    )
    subnets: Subnets = key(
        "Its subnet, or one of each family; allocated from 198.18.0.0/15 and 2001:2::/48 unless given",
        alias="subnet",
        default=(),
    )
    mtu: Mtu = key("Bytes of the largest IP packet", default=1500)
    internal: Annotated[bool, Field(strict=True)] = key("Whether traffic stays on this machine", default=True)
    present: DockerName | None = key("A Docker network that is there already, instead of a new one", default=None)

    def fixed_subnet(self, family: int, addresses: Collection[Address]) -> Subnet | None:
        """Return the subnet of a family that the file gives, or else the /24 or /64 of the addresses that it gives.

        Args:
            family: 4 or 6.
            addresses: of that family, which the file gives to nodes on the network.
        """
        given = next((subnet for subnet in self.subnets if subnet.version == family), None)
        if given is None and addresses:
            return ip_network((int(min(addresses, key=int)), _PREFIXES[family]), strict=False)
        return given


class Attachment(Model):
    """A node on a network."""

    addresses: Addresses = key(
        "Its address, or one of each family; the next free one unless given", alias="address", default=()
    )

    mtu: Mtu | None = key(
        "Bytes of the largest IP packet of its interface; the network's unless given", default=None, example=1400
    )
    mac: Mac | None = key("MAC address; derived from its IP address unless given", default=None)

    def moved(self, index: int) -> "Attachment":
        """Return the attachment with each address, of IP or a MAC, moved up by a number."""
        return self.model_copy(
            update={
                "addresses": tuple(address + index for address in self.addresses),
                "mac": self.mac and following_mac(self.mac, index),
            }
        )
