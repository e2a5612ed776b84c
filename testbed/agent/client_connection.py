"""The client's end of a connection to the agent: one call at a time over a stream of bytes."""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol, TypeVar

from testbed import codec
from testbed.agent import protocol
from testbed.errors import LabError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from testbed.agent.messages import Call, Tell


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


class ClientConnection:
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
