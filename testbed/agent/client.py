"""The orchestrator's side of the agent: blocking calls over a connection."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from signal import SIGKILL
from time import monotonic_ns
from types import NoneType
from typing import TYPE_CHECKING, Protocol, Self, TypeVar

from testbed import codec
from testbed.agent import messages, protocol
from testbed.agent.messages import AgentStatus, Call, Exit, ProcessEvent, Tell
from testbed.errors import LabError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence
    from pathlib import Path

    from testbed.endpoint.spec import Spec


_HELLO_SECONDS = 5
"""In which an agent says hello, whatever else it does."""

_SILENCE_SECONDS = 30
"""Without a word from a call, after which the agent is asked whether it still answers."""

_BUSY_SECONDS = 30
"""In which it then has to: it may be making very many links at that moment."""

_END_SECONDS = 5
"""In which a process that was killed has ended."""


def gone() -> LabError:
    """Return the error for an agent that does not answer any more."""
    return LabError(
        "agent-gone",
        "the lab's agent has ended, so its impaired links pass nothing",
        "take the lab down and bring it up again; its agent.log says why",
    )


def _stuck() -> None:
    raise LabError("agent-stuck", "the lab's agent runs, but does not answer", "testbed down ends it")


Result = TypeVar("Result")
Event = TypeVar("Event")


class Channel(Protocol):
    """A two-way stream of bytes to an agent: a Unix socket, or the streams of `docker exec`."""

    def sendall(self, data: bytes, /) -> None:
        """Send all of `data`."""
        ...

    def recv(self, size: int, /) -> bytes:
        """Return up to `size` bytes; none at the end of the stream."""
        ...

    def settimeout(self, seconds: float | None, /) -> None:
        """Let `recv` raise TimeoutError after a silence of so many seconds."""
        ...

    def close(self) -> None:
        """Close both directions."""
        ...


class Connection:
    """One call at a time over a channel.

    Args:
        channel: to the agent.
        seconds: the longest silence, if limited.
        require_alive: called after such a silence; raises if the agent does not answer.
    """

    def __init__(
        self, channel: Channel, seconds: float | None = None, require_alive: Callable[[], object] = _stuck
    ) -> None:
        self._channel = channel
        self._channel.settimeout(seconds)
        self._require_alive = require_alive
        self._buffer = b""

    def send(self, message: protocol.Message, fds: Sequence[int] = ()) -> None:
        """Send a message; file descriptors can be passed over a Unix socket only."""
        try:
            if fds:
                assert isinstance(self._channel, socket.socket)  # noqa: S101  # runtimes with other channels don't
                socket.send_fds(self._channel, [protocol.encode(message)], list(fds))
            else:
                self._channel.sendall(protocol.encode(message))
        except OSError:
            raise gone() from None

    def receive(self) -> protocol.Message:
        """Return the next message.

        Raises:
            LabError: `agent-gone`, the stream ended; `agent-stuck`, nothing came, and the agent does not answer.
        """
        parts = [self._buffer]
        while b"\n" not in parts[-1]:  # only what is new: a plan of thousands of links has megabytes
            try:
                data = self._channel.recv(1 << 16)
            except TimeoutError:
                self._require_alive()
                continue
            except OSError:
                data = b""
            if not data:
                raise gone()
            parts.append(data)
        end, _, self._buffer = parts.pop().partition(b"\n")
        return protocol.decode(b"".join((*parts, end)))

    def tell(self, what: Tell) -> None:
        """Send something to the call in progress."""
        self.send(protocol.Message(tell=codec.encode(what)))

    def events(self, call: Call[Result], kind: type[Event]) -> Generator[Event, None, Result]:
        """Yield the events of the call in progress; the generator returns the result.

        Args:
            call: the call.
            kind: the type of its events.

        Raises:
            TestbedError: the one that the agent raised; `bad-message`.
        """
        name = call.call_name()
        while (message := self.receive()).event is not None:
            yield protocol.read(message.event, kind, f"event of {name}")
        if error := protocol.error_of(message):
            raise error
        result: Result = protocol.read(message.result, call.result_type(), f"result of {name}")
        return result

    def interrupt(self) -> None:
        """End the stream for a thread that receives from it; only over a Unix socket."""
        assert isinstance(self._channel, socket.socket)  # noqa: S101  # see above
        with suppress(OSError):
            self._channel.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connection; the agent then kills what runs on its behalf."""
        with suppress(OSError):
            self._channel.close()


class Process:
    """A process that the agent started in a node. Used as a context, it is killed when that is left.

    Iterate over it for the lines that it writes to its standard output; they end when the process has ended.
    """

    def __init__(self, connection: Connection, call: Call[Exit]) -> None:
        self._connection = connection
        self._events = connection.events(call, ProcessEvent)
        self._status: int | None = None
        self._ended = threading.Event()
        self.stderr = ""
        self.pid = next(self._events).pid

    def __iter__(self) -> Iterator[str]:
        partial = ""
        for kind, text in self.output():
            if kind == "stderr":
                self.stderr += text
                continue
            *lines, partial = (partial + text).split("\n")
            yield from lines
        if partial:
            yield partial

    def output(self) -> Iterator[tuple[str, str]]:
        """Yield what the process writes, as pairs of `stdout` or `stderr` and text, until it has ended."""
        while True:
            try:
                event = next(self._events)
            except StopIteration as end:
                self._status = end.value.status
                self._ended.set()
                self._connection.close()
                return
            except BaseException:
                self._connection.close()
                raise
            yield event.stream, event.text

    def close_stdin(self) -> None:
        """End the standard input of the process; do nothing if it has ended."""
        with suppress(LabError):
            self._connection.tell(Tell(eof=True))

    def signal(self, number: int) -> None:
        """Send a signal to the process and its group; do nothing if it has ended."""
        with suppress(LabError):
            self._connection.tell(Tell(signal=number))

    def kill(self) -> None:
        """Kill the process, if it is still there; its lines then end. Safe to repeat, and from another thread."""
        self.signal(SIGKILL)

    def kill_or_abandon(self) -> None:
        """Kill the process. If its end is not reported soon, stop waiting: its lines then end with `agent-gone`.

        Call it in another thread than the one that reads them.
        """
        self.kill()
        if not self._ended.wait(_END_SECONDS):
            self._connection.interrupt()

    def wait(self) -> int:
        """Wait for the end, and return the exit status, negative for a signal; what it writes is dropped."""
        if self._status is None:
            for _ in self.output():
                pass
        assert self._status is not None  # noqa: S101  # output() sets it or raises
        return self._status

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()


class Endpoint(Process):
    """An endpoint that the agent started in a node, see `testbed.endpoint`."""

    def begin(self, start_ns: int) -> None:
        """Send a client its start time, by the nodes' clock; do nothing if it has ended."""
        with suppress(LabError):
            self._connection.tell(Tell(start_ns=start_ns))


_Process = TypeVar("_Process", bound=Process)


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

    def hello(self) -> AgentStatus:
        """Ask for the state of the agent.

        Raises:
            LabError: `agent-gone`; `agent-stuck`; `agent-differs`, it is of another version.
        """
        return self._hello(_HELLO_SECONDS)

    def _hello(self, seconds: float) -> AgentStatus:
        connection = Connection(self._connect(), seconds)
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

    def _open(self) -> Connection:
        return Connection(self._connect(), _SILENCE_SECONDS, lambda: self._hello(_BUSY_SECONDS))

    def endpoint(self, node: str, spec: Spec) -> Endpoint:
        """Start the endpoint program in a node."""
        return self._start(Endpoint, messages.Endpoint(node=node, spec=spec))

    def clock_offset_ns(self) -> int:
        """Return by how much the monotonic clock of the agent's machine is ahead, ns; 0 on the same machine."""
        before_ns = monotonic_ns()
        agents_ns = self.call(messages.Clock())
        after_ns = monotonic_ns()
        return 0 if before_ns <= agents_ns <= after_ns else agents_ns - (before_ns + after_ns) // 2

    def capture(self, node: str, network: str, *, snap_bytes: int, size_bytes: int) -> Process:
        """Start a capture at a node's interface; `testbed.agent.capture.__main__` describes its output."""
        return self._start(
            Process, messages.Capture(node=node, network=network, snap_bytes=snap_bytes, size_bytes=size_bytes)
        )

    def spawn(self, node: str, argv: Sequence[str], *, stdio: Sequence[int] = (), term: str | None = None) -> Process:
        """Start a command in a node.

        Args:
            node: its name.
            argv: the command.
            stdio: file descriptors that become its standard streams, in their order; the rest are pipes to here.
            term: the first of `stdio` is a terminal of this kind (TERM) and becomes the controlling one.
        """
        return self._start(Process, messages.Spawn(node=node, argv=tuple(argv), term=term), stdio)

    def begin(self, call: Call[Result]) -> Connection:
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


def _result(call: Call[Result], connection: Connection) -> Result:
    """Make a call that has no events, and close the connection."""
    try:
        connection.send(protocol.call(call))
        events = connection.events(call, NoneType)
        while True:
            try:
                next(events)
            except StopIteration as end:
                result: Result = end.value
                return result
    finally:
        connection.close()
