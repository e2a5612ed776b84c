"""Rules of nft(8) and iptables in the machine's namespace, by which networks of namespaces reach other machines.

A lab has one table. It translates addresses as Docker does: what nodes send beyond this machine gets the machine's
address, what comes to a published port gets the node's. Nothing else reaches a node from outside.
"""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

from testbed.agent import nft
from testbed.agent.nft import Rules

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from testbed.agent.messages import NewGateway, Publication

LAB_INTERFACES = "tb"
"""What the names of the interfaces of all labs begin with, see `LinkDevices`."""

_OTHERS = "others"
"""The chain of a lab that has switched forwarding on: it drops what would not be forwarded without labs."""

_OPENED = "opened"
"""The set of the interfaces by which the machine forwards because of labs."""

_NAME_SERVER_PORT = 53
_LOOPBACK = "127.0.0.0/8"
_TABLES = "testbed-"
_COMMENT = "testbed"
_DIRECTIONS = ("-i", "-o")


def table(lab: str) -> str:
    """Return the name of a lab's table; names of labs are in nft's alphabet."""
    return f"{_TABLES}{lab}"


def rules(
    lab: str,
    gateways: Sequence[tuple[str, NewGateway]],
    publications: Sequence[Publication],
    *,
    name_server: str,
) -> list[str]:
    """Return the lines of a lab's table.

    Args:
        lab: its name.
        gateways: of networks, by the name of the machine's interface there.
        publications: ports of nodes; `host_port` is a certain one.
        name_server: a loopback address, to which gateways pass on what they are asked at port 53; may be empty.
    """
    made = Rules(table(lab))
    interfaces = [interface for interface, _ in gateways]
    ours = f"{{ {', '.join(interfaces)} }}"
    made.chain("martians", "prerouting", "raw", f"iifname {ours} ip daddr {_LOOPBACK} drop")
    published = [_published(each) for each in publications]
    questions = [
        f"iifname {interface} ip daddr {gateway.address} meta l4proto {{ tcp, udp }} th dport {_NAME_SERVER_PORT} "
        f"dnat ip to {name_server}:{_NAME_SERVER_PORT}"
        for interface, gateway in gateways
        if name_server
    ]
    made.chain("published", "prerouting", "dstnat", *published, *questions, kind="nat")
    made.chain("published_here", "output", "-100", *published, kind="nat")
    made.chain("translated", "postrouting", "srcnat", *_translation(interfaces), kind="nat")
    made.chain("inwards", "forward", "filter", f"oifname {ours} ct state {{ established, related }} accept")
    made.chain(
        "only_published",
        "forward",
        "filter + 1",
        f"oifname {ours} ct state new ct status & dnat == 0 drop",
        f"oifname {ours} ct state invalid drop",
    )
    return made.lines


def _published(publication: Publication) -> str:
    port = publication.port
    target = f"ip daddr {port.host_address}" if port.host_address else "fib daddr type local"
    return f"{target} {port.protocol} dport {port.host_port} dnat ip to {publication.address}:{port.port}"


def _translation(interfaces: Sequence[str]) -> Iterator[str]:
    """Yield what gives packets the machine's address: those that leave, and those whose answers would not come back.

    That is so for the loopback's, and for those of a node that go back to its own network over a published port.
    """
    for interface in interfaces:
        yield f"oifname {interface} ip saddr {_LOOPBACK} masquerade"
        yield f"iifname {interface} masquerade"


def keep_others(table: str, opened: Iterable[str]) -> list[str]:
    """Return the lines by which nothing but labs' packets is forwarded from interfaces that labs have opened.

    What others have begun to exchange passes: the kernel forwarded it without labs.
    """
    names = ", ".join(f'"{name}"' for name in opened)
    chain = f"ip {table} {_OTHERS}"
    others = f'iifname @{_OPENED} oifname != "{LAB_INTERFACES}*"'
    return [
        f"add set ip {table} {_OPENED} {{ type ifname; }}",
        f"flush set ip {table} {_OPENED}",
        *([f"add element ip {table} {_OPENED} {{ {names} }}"] if names else []),
        f"add chain {chain} {{ type filter hook forward priority filter; policy accept; }}",
        f"flush chain {chain}",
        f"add rule {chain} {others} ct state != {{ established, related }} drop",
    ]


def release_others(table: str) -> list[str]:
    """Return the lines that undo `keep_others`."""
    return [
        f"flush chain ip {table} {_OTHERS}",
        f"delete chain ip {table} {_OTHERS}",
        f"delete set ip {table} {_OPENED}",
    ]


def opened(network: int) -> set[str]:
    """Return the interfaces by which the machine forwards because of labs.

    Args:
        network: file descriptor of the machine's namespace.

    Raises:
        MachineError: `no-nft`.
        LabError: `filter-refused`.
    """
    return opened_in(nft.load(network, ["list sets ip"], "a network leads out of the lab", ""))


def opened_in(sets: str) -> set[str]:
    """Return the interfaces in the sets of labs' tables, in what nft prints for `list sets ip`."""
    found: set[str] = set()
    for name, table in re.findall(r"^table ip (\S+) {(.*?)^}", sets, re.DOTALL | re.MULTILINE):
        if name.startswith(_TABLES):
            for elements in re.findall(rf"set {_OPENED} {{[^{{}}]*elements = {{([^}}]*)}}", table):
                found |= {*re.findall(r'"([^"]+)"', elements)}
    return found


def blocking(network_rules: str) -> bool:
    """Whether iptables' rules about what is forwarded, as `-S FORWARD` prints them, may drop packets."""
    return network_rules.strip() not in ("", "-P FORWARD ACCEPT")


def firewalls() -> list[str]:
    """Return the variants of iptables whose rules drop, perhaps, what the present namespace forwards.

    No tables are made by asking: nft lists those of iptables-nft, and the kernel those of the older one.
    """
    return [
        name
        for name, is_used in (("iptables-nft", _uses_nft()), ("iptables-legacy", _uses_legacy()))
        if is_used and blocking(_run(name, "-S", "FORWARD").stdout)
    ]


def _uses_nft() -> bool:
    path = nft.program("nft")
    return (
        bool(path)
        and not subprocess.run(
            [str(path), "list", "chain", "ip", "filter", "FORWARD"], capture_output=True, check=False
        ).returncode
    )


def _uses_legacy() -> bool:
    try:
        with open("/proc/net/ip_tables_names", encoding="ascii") as names:  # noqa: PTH123
            return "filter" in names.read().split()
    except OSError:
        return False


def accept(firewall: str, interface: str) -> bool:
    """Make a firewall accept what is forwarded from and to an interface of ours; return False if it refuses."""
    done = [_run(firewall, "-I", *_accepting(way, interface)) for way in _DIRECTIONS]
    return not any(each.returncode for each in done)


def forget(firewall: str, interface: str) -> None:
    """Undo `accept`; safe to repeat."""
    for way in _DIRECTIONS:
        while not _run(firewall, "-D", *_accepting(way, interface)).returncode:
            pass


def _accepting(way: str, interface: str) -> Sequence[str]:
    return ("FORWARD", way, interface, "-m", "comment", "--comment", _COMMENT, "-j", "ACCEPT")


def _run(firewall: str, action: str, *words: str) -> subprocess.CompletedProcess[str]:
    path = nft.program(firewall) or firewall
    return subprocess.run([path, "-w", action, *words], capture_output=True, text=True, check=False)
