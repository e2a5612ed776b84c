"""How names outside resolve in network namespaces: by the machine's name servers.

A name server at a loopback address is reached by the machine only. Where it is systemd-resolved, nodes have the servers
that it asks itself. Any other answers nodes at the address of their gateway, which passes their questions on.
"""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.runtime import ways_out

if TYPE_CHECKING:
    from collections.abc import Iterator

    from testbed.plan.model import Plan
    from testbed.plan.nodes import Node

RESOLVER = Path("/etc/resolv.conf")
_UPSTREAM = Path("/run/systemd/resolve/resolv.conf")
"""What systemd-resolved writes for programs that ask its servers directly, see systemd-resolved.service(8)."""

_STUBS = ("127.0.0.53", "127.0.0.54")
_KEY = "nameserver"


def on_loopback(resolver: Path = RESOLVER, upstream: Path = _UPSTREAM) -> str:
    """Return the loopback address of a name server that answers for nodes at their gateway; empty where none does."""
    found = (server for server in _servers(_text(resolver, upstream)) if ip_address(server).is_loopback)
    return next((server for server in found if ip_address(server).version == 4), "")  # noqa: PLR2004


def resolver(plan: Plan, node: Node, resolver: Path = RESOLVER, upstream: Path = _UPSTREAM) -> str:
    """Return the text of a node's /etc/resolv.conf; empty leaves the machine's.

    Args:
        plan: of the lab.
        node: the node.
        resolver: the machine's.
        upstream: what systemd-resolved writes.
    """
    if node.service.dns:
        return "".join(f"{_KEY} {address}\n" for address in node.service.dns)
    way_out = ways_out.of(plan, node)
    text = _text(resolver, upstream)
    if way_out is None or not (resolver.exists() and (text != resolver.read_text("utf-8") or on_loopback(resolver))):
        return ""
    lines = []
    for line in text.splitlines():
        words = line.split()
        is_loopback = words[:1] == [_KEY] and ip_address(words[1].partition("%")[0]).is_loopback
        lines.append(f"{_KEY} {way_out.gateway}" if is_loopback else line)
    return "\n".join(dict.fromkeys(lines)) + "\n"


def _text(resolver: Path, upstream: Path) -> str:
    """Return the machine's resolv.conf, or what systemd-resolved has in place of its own address."""
    text = resolver.read_text("utf-8") if resolver.exists() else ""
    is_stub = any(server in _STUBS for server in _servers(text))
    return upstream.read_text("utf-8") if is_stub and upstream.exists() else text


def _servers(text: str) -> Iterator[str]:
    for line in text.splitlines():
        words = line.split()
        if words[:1] == [_KEY] and len(words) > 1:
            yield words[1].partition("%")[0]
