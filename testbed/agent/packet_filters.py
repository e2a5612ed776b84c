"""NAT and firewalls of routers: nftables in their network namespaces, set by the program nft."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

from pyroute2.netlink.exceptions import NetlinkError
from pyroute2.netlink.nfnetlink.nfctsocket import AsyncNFCTSocket

from testbed.agent import nat_rules
from testbed.errors import LabError, MachineError
from testbed.linux import namespaces

if TYPE_CHECKING:
    from collections.abc import Sequence

    from testbed.agent.messages import NewNat, PacketFilter
    from testbed.agent.wiring import Wiring

_PLACES = ("/usr/sbin", "/sbin")
"""Where Debian has nft; an ordinary user's PATH may lack them."""

_FIREWALL = "testbed_firewall"


def install(wiring: Wiring, name: str, packet_filter: PacketFilter) -> None:
    """Give a node its NAT and its firewall, in place of those that it has.

    Raises:
        MachineError: `no-nft`.
        LabError: `filter-refused`, the kernel lacks something; `port-gone`, `node-stopped`.
    """
    _load(wiring, name, _rules(wiring, name, packet_filter))


async def rebind(wiring: Wiring, name: str, nat: NewNat) -> None:
    """Have the NAT of a node forget its mappings. It forwards nothing meanwhile, so that none of them comes back.

    Raises:
        MachineError, LabError: as `install`.
    """
    tables = [_table(number) for number in range(len(nat.outside))]
    _load(wiring, name, [line for table in tables for line in nat_rules.closing(table)])
    await _forget_connections(wiring, name)
    _load(wiring, name, [line for table in tables for line in nat_rules.opening(nat, table)])


def _table(number: int) -> str:
    """Return the name of the rules of a NAT for one of its networks outside, by its number."""
    return f"testbed_nat_{number}"


def _rules(wiring: Wiring, name: str, packet_filter: PacketFilter) -> list[str]:
    """Return the rules of a node, with empty sets.

    Raises:
        LabError: `port-gone`.
    """
    lines: list[str] = []
    if nat := packet_filter.nat:
        inside = [wiring.port(name, network).interface for network in nat.inside]
        for number, network in enumerate(nat.outside):
            port = wiring.port(name, network)
            lines += nat_rules.translation(nat, _table(number), inside, port.interface, port.address)
    if firewall := packet_filter.firewall:
        sides = ([wiring.port(name, one).interface for one in side] for side in (firewall.inside, firewall.outside))
        lines += nat_rules.protection(firewall, _FIREWALL, *sides)
    return lines


async def _forget_connections(wiring: Wiring, name: str) -> None:
    try:
        with namespaces.inside(wiring.node(name).network):
            conntrack = AsyncNFCTSocket()
            conntrack.socket  # noqa: B018  # opens the socket now, while we are inside
        try:
            await conntrack.setup_endpoint()
            await conntrack.flush()
        finally:
            conntrack.close()
    except (NetlinkError, OSError) as error:
        raise LabError("filter-refused", f"node {name}: the kernel keeps its connections: {error}") from None


def _load(wiring: Wiring, name: str, lines: Sequence[str]) -> None:
    """Change the rules of a node, all of them or none."""
    program = shutil.which("nft", path=os.pathsep.join([os.environ.get("PATH", os.defpath), *_PLACES]))
    if program is None:
        message = f"node {name} has a NAT or a firewall, and there is no nft to set it"
        hint = "apt-get install nftables; where the agent is a container, testbed images builds one that has it"
        raise MachineError("no-nft", message, hint)
    with namespaces.inside(wiring.node(name).network):
        done = subprocess.run([program, "-f", "-"], input="\n".join(lines), text=True, capture_output=True, check=False)
    if done.returncode:
        first = next(iter(done.stderr.splitlines()), f"exit status {done.returncode}")
        hint = "a NAT needs the kernel's nf_tables with nat, ct, dynset, socket and objref; see modprobe(8)"
        raise LabError("filter-refused", f"node {name}: nft refuses its rules: {first}", hint)
