"""Processes in nodes: their start, what they write, what clients tell them, their end."""

from __future__ import annotations

import signal
from collections.abc import Mapping

from testbed.agent.messages.calls import Call, Payload
from testbed.endpoint.spec import Spec


class Launch(Call[None], frozen=True, kw_only=True):
    """Start a node's own command, which runs as long as the lab; `stop_signal` asks it to end."""

    node: str
    argv: tuple[str, ...]
    stop_signal: int = signal.SIGTERM


class StopCommands(Call[None], frozen=True, kw_only=True):
    """Send the own commands of nodes a signal each, by node, and wait a while until they have ended."""

    signals: Mapping[str, int]


class Exit(Payload, frozen=True, kw_only=True):
    """How a process ended: its exit status, negative for a signal."""

    status: int


class Spawn(Call[Exit], frozen=True, kw_only=True):
    """Start a command in a node. File descriptors that come along become its standard streams, in their order.

    Attributes:
        term: the first of them is a terminal of this kind (TERM) and becomes the controlling one.
    """

    node: str
    argv: tuple[str, ...]
    term: str | None = None


class StartEndpoint(Call[Exit], frozen=True, kw_only=True):
    """Start the endpoint program in a node."""

    node: str
    spec: Spec


class ProcessEvent(Payload, frozen=True, kw_only=True):
    """What happens to a process: it has started, as `pid`, or wrote text to its stream `stdout` or `stderr`."""

    pid: int = 0
    stream: str = ""
    text: str = ""


class Tell(Payload, frozen=True, kw_only=True):
    """What a client sends to a call in progress.

    Attributes:
        start_ns: when an endpoint is to begin.
        eof: the process's standard input is to end.
        signal: the process and its group are to get it.
    """

    start_ns: int | None = None
    eof: bool = False
    signal: int | None = None
