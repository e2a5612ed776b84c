"""The agent's side of a connection: messages from a client, and to it."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import struct
from contextlib import suppress

from testbed import codec
from testbed.agent import protocol
from testbed.errors import LabError

_log = logging.getLogger(__name__)

_CHUNK = 1 << 16
_MOST_FDS = 3

MOST_BYTES = 128 << 20
"""The longest message that is accepted: several times that of 40,000 links."""


def is_from_owner(channel: socket.socket, *, isolated: bool) -> bool:
    """Whether the agent's own user has connected, and not from within the lab.

    The kernel says who that was (SO_PEERCRED, unix(7)). To an isolated agent it gives the pid 0 for every process that
    is outside of the lab.

    Args:
        channel: a connection to the agent's socket.
        isolated: the agent has a pid namespace of its own, which programs of nodes are in.
    """
    credentials = channel.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    pid, uid, _ = struct.unpack("3i", credentials)
    return bool(uid == os.geteuid() and not (isolated and pid))


class ServerConnection:
    """A client's stream of messages; file descriptors may come along with one."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._buffer = bytearray()
        self._fds: list[int] = []
        self._receiving = False
        self._sending = asyncio.Lock()
        channel.setblocking(False)  # noqa: FBT003

    async def receive(self) -> protocol.Message | None:
        """Return the next message; None at the end of the stream.

        Raises:
            LabError: `bad-message`, the client does not speak the protocol.
        """
        searched = 0
        while (end := self._buffer.find(b"\n", searched)) < 0:
            if (searched := len(self._buffer)) > MOST_BYTES:
                self._buffer.clear()
                raise LabError("bad-message", f"a message is longer than {MOST_BYTES >> 20} MiB")
            await self._readable()
            try:
                data, fds, _, _ = socket.recv_fds(self._channel, _CHUNK, _MOST_FDS)
            except ConnectionError:
                return None
            except BlockingIOError:
                continue
            self._fds += fds
            if not data:
                return None
            self._buffer += data
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        try:
            return protocol.decode(line)
        except ValueError as error:
            raise LabError("bad-message", str(error), "client and agent may be of different versions") from None

    async def send(self, message: protocol.Message) -> None:
        """Send a message, after those before it. A client that has gone is no error; `receive` returns None then.

        An event loop wakes only the last of those who wait to send on one socket.
        """
        async with self._sending:
            with suppress(OSError):
                await asyncio.get_running_loop().sock_sendall(self._channel, protocol.encode(message))

    async def send_event(self, event: object) -> None:
        """Send an event of the call in progress, a type of `testbed.agent.messages`."""
        await self.send(protocol.Message(event=codec.encode(event)))

    async def send_result(self, result: object) -> None:
        """Send the result of the call."""
        await self.send(protocol.Message(result=codec.encode(result)))

    def take_fds(self) -> list[int]:
        """Return the file descriptors that were passed; the caller closes them."""
        fds, self._fds = self._fds, []
        return fds

    def close(self) -> None:
        """Close the stream and what came along with it. Nothing may be receiving from it any more.

        The event loop knows a stream by the number of its descriptor, which the next stream gets: with a reader left
        behind, the loop would never look at that one.

        Raises:
            RuntimeError: a task still waits in `receive`.
        """
        if self._receiving:
            raise RuntimeError("a connection was closed while a task received from it")
        for fd in self.take_fds():
            os.close(fd)
        self._channel.close()

    async def _readable(self) -> None:
        """Wait until the stream has something to read, or has ended."""
        loop = asyncio.get_running_loop()
        ready = asyncio.Event()
        self._receiving = True
        loop.add_reader(self._channel, ready.set)
        try:
            await ready.wait()
        finally:
            loop.remove_reader(self._channel)
            self._receiving = False


async def accepted(listener: socket.socket, *, isolated: bool) -> ServerConnection:
    """Return the next connection that `is_from_owner`; the others are closed."""
    while True:
        channel, _ = await asyncio.get_running_loop().sock_accept(listener)
        if is_from_owner(channel, isolated=isolated):
            return ServerConnection(channel)
        _log.warning("refused a connection: it is not from user %d outside of the lab", os.geteuid())
        channel.close()
