"""`testbed sockets`: the TCP connections of a lab's nodes, of any program."""

from __future__ import annotations

import time
from contextlib import suppress
from types import MappingProxyType
from typing import TYPE_CHECKING

import click
from rich.live import Live

from testbed import codec
from testbed.analysis import formatting
from testbed.cli import json_output
from testbed.cli.columns import Columns
from testbed.cli.console import make_console
from testbed.lab import Lab

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from testbed.agent.messages import NodeSockets, TcpConnection

_PLAIN_WIDTH = 160
_INTERVAL_S = 1.0
_BITS = 8
_ESTABLISHED = "ESTABLISHED"


@click.command("sockets")
@click.argument("name", metavar="LAB")
@click.argument("node", required=False)
@click.option("--watch", is_flag=True, help="Sample again each second, until Ctrl-C.")
@json_output.as_json
def sockets_command(name: str, node: str | None, *, watch: bool, as_json: bool) -> None:
    """Show the TCP connections of LAB's nodes, or of one NODE, as its kernel reports them, for any program.

    \b
    rtt      smoothed round-trip time; least is the least of all
    cwnd     congestion window, segments; in flight, lost and retrans are segments too
    to send  bytes not yet acknowledged; to read, bytes that the program has not read
    held up  share of the time with data to send in which the receiver's window (rwnd) or the send buffer
             (sndbuf) was in the way, not the network

    With --json and --watch, each sample is one line.
    """  # noqa: D301  # \b is click's
    lab = Lab.attach(name)
    nodes = (node,) if node else ()
    console = make_console(plain_width=_PLAIN_WIDTH)

    def look() -> Columns | str:
        return _table(lab.sockets(*nodes), lab.plan.names_by_address)

    if not watch:
        json_output.show(codec.encode(lab.sockets(*nodes))) if as_json else console.print(look())
        return
    with suppress(KeyboardInterrupt):  # the way to end it
        if as_json:
            _repeat(lambda: json_output.show_line(codec.encode(lab.sockets(*nodes))))
        elif console.is_terminal:
            with Live(console=console, auto_refresh=False) as live:
                _repeat(lambda: live.update(look(), refresh=True))
        else:
            _repeat(lambda: console.print(look()))


def _repeat(action: Callable[[], None]) -> None:
    while True:
        action()
        time.sleep(_INTERVAL_S)


def _table(seen: Mapping[str, NodeSockets], names: Mapping[str, str]) -> Columns | str:
    """Return a row for each connection, without columns that are empty in all rows."""
    lines = [
        {"node": node, **_cells(connection, names)}
        for node, one in seen.items()
        for connection in sorted(one.connections, key=lambda connection: (connection.local, connection.peer))
    ]
    if not lines:
        return f"no TCP connections in {', '.join(seen)}"
    shown = [name for name in lines[0] if name not in _SELDOM or any(line[name] != _SELDOM[name] for line in lines)]
    return Columns(
        shown,
        [[line[name] for name in shown] for line in lines],
        keys=len(_WHICH),
        right=[name for name in shown if name not in _WORDS],
    )


_WHICH = ("node", "process", "local", "peer")
_WORDS = (*_WHICH, "state", "control")
_SELDOM: Mapping[str, str] = MappingProxyType(
    {"state": _ESTABLISHED, "lost": "0", "to read": "0 B", "held up": formatting.NOT_APPLICABLE}
)
"""Columns that are seldom of interest, each with what it says then."""


def _cells(connection: TcpConnection, names: Mapping[str, str]) -> dict[str, str]:
    """Return the cells of a connection, by column."""
    info = connection.info
    return {
        "process": connection.process or formatting.UNMEASURED,
        "local": _end(connection.local, names),
        "peer": _end(connection.peer, names),
        "state": connection.state,
        "control": connection.congestion,
        "rtt": _cell(info, "rtt_ns", formatting.duration),
        "least": _cell(info, "min_rtt_ns", formatting.duration),
        "cwnd": _cell(info, "cwnd", str),
        "in flight": _cell(info, "unacked", str),
        "lost": _cell(info, "lost", str),
        "retrans": _cell(info, "retransmits", str),
        "delivery": _cell(info, "delivery_rate", lambda rate: formatting.rate(_BITS * rate)),
        "to send": formatting.size(connection.send_queue_bytes),
        "to read": formatting.size(connection.receive_queue_bytes),
        "held up": _held_up(info),
    }


def _end(address: str, names: Mapping[str, str]) -> str:
    """Return `server:80` if the address is a node's."""
    host, _, port = address.rpartition(":")
    return f"{names.get(host, host)}:{port}"


def _cell(info: Mapping[str, int], name: str, show: Callable[[int], str]) -> str:
    return show(info[name]) if name in info else formatting.UNMEASURED


def _held_up(info: Mapping[str, int]) -> str:
    busy_ns = info.get("busy_ns", 0)
    shares = {name: info.get(f"{name}_limited_ns", 0) / busy_ns if busy_ns else 0 for name in ("rwnd", "sndbuf")}
    return ", ".join(f"{name} {share:.0%}" for name, share in shares.items() if share) or formatting.NOT_APPLICABLE
