"""The orchestrator's side of the agent: blocking calls, each over a connection of its own."""

from __future__ import annotations

import socket
from time import monotonic_ns
from types import NoneType
from typing import TYPE_CHECKING, NamedTuple, Self, TypeVar

from testbed.agent import messages, protocol
from testbed.agent.client_connection import Channel, ClientConnection, Result, gone
from testbed.agent.messages import AgentStatus, Call, Exit
from testbed.agent.remote_process import RemoteEndpoint, RemoteProcess
from testbed.errors import LabError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from testbed.endpoint.spec import Spec

_HELLO_SECONDS = 30
"""In which an agent says hello: it may be making very many links, or get no processor, at that moment."""

HURRIED_SECONDS = 5
"""In which it has to where its state is only shown, or where it is to end anyway."""

_SILENCE_SECONDS = 30
"""Without a word from a call, after which the agent is asked whether it still answers."""

_Process = TypeVar("_Process", bound=RemoteProcess)


class ClockOffset(NamedTuple):
    """How far a monotonic clock is ahead of this machine's, ns, and the uncertainty of that."""

    offset_ns: int
    uncertainty_ns: int

    @classmethod
    def between(cls, least_ns: int, most_ns: int) -> Self:
        """Return an offset between two bounds: 0 if they allow it.

        Such clocks count from the start of their machines. So 0, within the milliseconds that a question takes, means
        that it is the same clock.
        """
        if least_ns <= 0 <= most_ns:
            return cls(0, max(-least_ns, most_ns))
        return cls((least_ns + most_ns) // 2, (most_ns - least_ns + 1) // 2)


class Apart(NamedTuple):
    """How far two machines are from each other: their names, and what a packet takes one way, ns."""

    machines: tuple[str, str]
    one_way_ns: int


class Agent:
    """A lab's agent. Every call has a connection of its own, so that an `Agent` may be shared by threads."""

    def __init__(self, connect: Callable[[], Channel]) -> None:
        self._connect = connect

    @classmethod
    def at(cls, path: Path) -> Self:
        """Return the agent that listens on a Unix socket."""

        def connect() -> socket.socket:
            channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                channel.connect(str(path))
            except OSError:
                channel.close()
                raise gone() from None
            return channel

        return cls(connect)

    def call(self, call: Call[Result]) -> Result:
        """Make a call and wait for its result.

        Raises:
            TestbedError: the one that the agent raised; `agent-gone` if there is none any more; `bad-message`.
        """
        return _result(call, self._open())

    def hello(self, within_s: float | None = None) -> AgentStatus:
        """Ask for the state of the agent.

        Args:
            within_s: how long it may be silent, half a minute by default.

        Raises:
            LabError: `agent-gone`; `agent-stuck`; `agent-differs`, it is of another version.
        """
        connection = ClientConnection(self._connect(), _HELLO_SECONDS if within_s is None else within_s)
        try:
            connection.send(protocol.call(messages.Hello()))
            answer = connection.receive()
        finally:
            connection.close()
        if error := protocol.error_of(answer):
            raise error
        version = answer.result.get("version") if isinstance(answer.result, dict) else None
        if version != protocol.VERSION:
            raise LabError(
                "agent-differs",
                f"the lab was brought up by a testbed whose agent speaks version {version}, "
                f"this one {protocol.VERSION}",
                "take the lab down and bring it up again",
            )
        return protocol.read(answer.result, AgentStatus, "result of hello")

    def _open(self) -> ClientConnection:
        return ClientConnection(self._connect(), _SILENCE_SECONDS, self.hello)

    def endpoint(self, node: str, spec: Spec) -> RemoteEndpoint:
        """Start the endpoint program in a node."""
        return self._start(RemoteEndpoint, messages.StartEndpoint(node=node, spec=spec))

    def clock_offset_ns(self) -> int:
        """Return by how much the monotonic clock of the agent's machine is ahead, ns; 0 on the same machine."""
        return self.clock().offset_ns

    def clock(self, times: int = 1) -> ClockOffset:
        """Compare the monotonic clock of the agent's machine with this machine's.

        Args:
            times: how often it is asked, over one connection.
        """
        connection, call = self._open(), messages.ReadClock()
        try:
            least, most = -(1 << 63), 1 << 63
            for _ in range(times):
                before_ns = monotonic_ns()
                connection.send(protocol.call(call))
                agents_ns = _answer(call, connection)
                after_ns = monotonic_ns()
                least, most = max(least, agents_ns - after_ns), min(most, agents_ns - before_ns)
        finally:
            connection.close()
        return ClockOffset.between(least, most)

    def compare_clocks(self) -> Mapping[str, ClockOffset]:
        """Compare the clock of each machine with the nodes' clock, by machine; nothing where there is one machine."""
        return {}

    def uncertain_ns(self, source: str, destination: str) -> int:  # noqa: ARG002  # of several machines
        """Return how far a one-way delay between two nodes may be off; 0 where they have one clock."""
        return 0

    def apart(self, source: str, destination: str) -> Apart | None:  # noqa: ARG002  # as above
        """Return how far the machines of two nodes are from each other; None where it is one, or they don't answer."""
        return None

    @property
    def lead_ns(self) -> int:
        """How much earlier than usual all machines have to be told what they are to do at one instant, ns."""
        return 0

    def capture(self, node: str, network: str, *, snap_bytes: int, size_bytes: int) -> RemoteProcess:
        """Start a capture at a node's interface; `testbed.agent.capture.__main__` describes its output."""
        return self._start(
            RemoteProcess, messages.Capture(node=node, network=network, snap_bytes=snap_bytes, size_bytes=size_bytes)
        )

    def spawn(
        self, node: str, argv: Sequence[str], *, stdio: Sequence[int] = (), term: str | None = None
    ) -> RemoteProcess:
        """Start a command in a node.

        Args:
            node: its name.
            argv: the command.
            stdio: file descriptors that become its standard streams, in their order; the rest are pipes to here.
            term: the first of `stdio` is a terminal of this kind (TERM) and becomes the controlling one.
        """
        return self._start(RemoteProcess, messages.Spawn(node=node, argv=tuple(argv), term=term), stdio)

    def begin(self, call: Call[Result]) -> ClientConnection:
        """Begin a call that reports events before its result; the caller closes the connection."""
        connection = self._open()
        try:
            connection.send(protocol.call(call))
        except BaseException:
            connection.close()
            raise
        return connection

    def _start(self, kind: type[_Process], call: Call[Exit], fds: Sequence[int] = ()) -> _Process:
        connection = self._open()
        try:
            connection.send(protocol.call(call), fds)
            return kind(connection, call)
        except BaseException:
            connection.close()
            raise


def _result(call: Call[Result], connection: ClientConnection) -> Result:
    """Make a call that has no events, and close the connection."""
    try:
        connection.send(protocol.call(call))
        return _answer(call, connection)
    finally:
        connection.close()


def _answer(call: Call[Result], connection: ClientConnection) -> Result:
    """Return the result of a call that was made, and that has no events."""
    events = connection.events(call, NoneType)
    while True:
        try:
            next(events)
        except StopIteration as end:
            result: Result = end.value
            return result
