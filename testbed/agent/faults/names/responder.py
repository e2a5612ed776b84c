"""Answers the DNS questions of a node's programs in place of the name servers that they ask.

nftables redirects what goes to port 53 of whatever address to a socket in the node's network namespace. Each question
is answered as the node's faults say, or passed on to the server that it was sent to.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import struct
from contextlib import suppress
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final

from testbed.agent import nft
from testbed.agent.faults.names.connections import Endpoint, TrackedConnections
from testbed.agent.tasks import cancelled
from testbed.errors import LabError, MachineError
from testbed.linux import namespaces

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Respond = Callable[[bytes, str, Callable[[], Awaitable[bytes | None]]], Awaitable[bytes | None]]
    """Gets a message, the address of the server that it was sent to (empty if unknown), and what asks this one, which
    raises OSError where it can't be reached. Returns what is answered; None for no answer."""

_log = logging.getLogger(__name__)

PORT: Final = 53
_TABLE: Final = "testbed-names"
_MARK: Final = 0x7E57D
"""Of packets of the responder itself, which are not redirected."""

_BEFORE_DOCKER: Final = "-110"
"""Priority: the Docker Engine redirects what goes to its own name server in a container at -100."""

_TRIES: Final = 8
_MOST_AT_ONCE: Final = 512
_PATIENCE_SECONDS: Final = 10.0
_DATAGRAM_BYTES: Final = 1 << 16
_SO_MARK: Final = 36
_SO_ORIGINAL_DST: Final = 80  # include/uapi/linux/netfilter_ipv4.h, and IP6T_SO_ORIGINAL_DST
_LENGTH = struct.Struct("!H")
_LOOPBACK: Final = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}


class Responder:
    """The responder of one node, from `start` to `close`."""

    def __init__(self, node: str, network: int, respond: Respond) -> None:
        """Redirect nothing yet.

        Args:
            node: its name.
            network: file descriptor of its network namespace.
            respond: see `Respond`.
        """
        self._node = node
        self._network = network
        self._respond = respond
        self._connections = TrackedConnections(network)
        self._datagrams: list[socket.socket] = []
        self._listeners: list[socket.socket] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Redirect all questions of the node; if that fails, `close` undoes what was done.

        Raises:
            LabError: `dns-not-changed`, `filter-refused`.
            MachineError: `no-nft`.
        """
        port = self._bind()
        loop = asyncio.get_running_loop()
        for one in self._datagrams:
            loop.add_reader(one, self._receive, one)
        for one in self._listeners:
            self._begin(self._accept(one))
        rule = f"meta mark != {_MARK} meta l4proto {{ tcp, udp }} th dport {PORT} redirect to :{port}"
        rules = nft.Rules(_TABLE, "inet")
        rules.chain("output", "output", _BEFORE_DOCKER, rule, kind="nat")
        nft.load(self._network, rules.lines, f"names of node {self._node} are to fail", "it needs nft_redir")
        self._connections.forget(PORT)

    async def close(self) -> None:
        """End the redirection. Questions that have no answer yet get none."""
        with suppress(LabError, MachineError):  # its namespace goes, or there is no nft
            lines = [f"add table inet {_TABLE}", f"delete table inet {_TABLE}"]
            nft.load(self._network, lines, f"names of node {self._node} are to work", "")
        self._connections.forget(PORT)
        self._connections.close()
        for one in self._datagrams:
            asyncio.get_running_loop().remove_reader(one)
        for task in [*self._tasks]:  # before what they read from is closed, see `tasks`
            with suppress(OSError):
                await cancelled(task)
        for one in (*self._datagrams, *self._listeners):
            one.close()

    def _bind(self) -> int:
        """Open the sockets, all at the same port, and return its number."""
        for _ in range(_TRIES):
            port = 0
            opened: list[socket.socket] = []
            try:
                for family, address in _LOOPBACK.items():
                    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
                        with namespaces.inside(self._network):
                            one = socket.socket(family, kind | socket.SOCK_NONBLOCK)
                        opened.append(one)
                        one.bind((address, port))
                        port = one.getsockname()[1]
                        if kind == socket.SOCK_STREAM:
                            one.listen()
            except OSError as error:
                if error.errno == errno.EADDRINUSE or not port:
                    for one in opened:
                        one.close()
                    continue
                opened.pop().close()  # the node has no IPv6
            self._datagrams = [one for one in opened if one.type == socket.SOCK_DGRAM]
            self._listeners = [one for one in opened if one.type == socket.SOCK_STREAM]
            return port
        raise LabError("dns-not-changed", f"node {self._node} has no free port at {_LOOPBACK[socket.AF_INET]}")

    def _begin(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _receive(self, one: socket.socket) -> None:
        """Receive a question, and begin to answer it."""
        try:
            message, source = one.recvfrom(_DATAGRAM_BYTES)
        except OSError:
            return
        if len(self._tasks) < _MOST_AT_ONCE:
            self._begin(self._answer(one, message, source[:2]))

    async def _answer(self, one: socket.socket, message: bytes, source: Endpoint) -> None:
        server = self._connections.sent_to(source, one.getsockname()[:2])

        async def ask() -> bytes | None:
            return await self._exchange(message, server) if server else None

        with suppress(OSError):  # nobody waits any more
            if (answer := await self._respond(message, server[0] if server else "", ask)) is not None:
                one.sendto(answer, source)

    async def _exchange(self, message: bytes, server: Endpoint) -> bytes | None:
        """Pass a question on over UDP; return the answer, or None if there is none.

        Raises:
            OSError: the server can't be reached.
        """
        loop = asyncio.get_running_loop()
        with self._socket(server, socket.SOCK_DGRAM) as upstream:
            upstream.connect(server)
            await loop.sock_sendall(upstream, message)
            try:
                return await asyncio.wait_for(loop.sock_recv(upstream, _DATAGRAM_BYTES), _PATIENCE_SECONDS)
            except TimeoutError:
                return None

    def _socket(self, server: Endpoint, kind: int) -> socket.socket:
        family = socket.AF_INET if ip_address(server[0]).version == 4 else socket.AF_INET6  # noqa: PLR2004
        with namespaces.inside(self._network):
            upstream = socket.socket(family, kind | socket.SOCK_NONBLOCK)
        upstream.setsockopt(socket.SOL_SOCKET, _SO_MARK, _MARK)
        return upstream

    async def _exchange_over_tcp(self, message: bytes, server: Endpoint) -> bytes | None:
        """Pass a question on over TCP; return the answer, or None if there is none.

        Raises:
            OSError: the server can't be reached.
        """
        upstream = self._socket(server, socket.SOCK_STREAM)
        try:
            await asyncio.get_running_loop().sock_connect(upstream, server)
        except BaseException:
            upstream.close()
            raise
        answers, questions = await asyncio.open_connection(sock=upstream)
        try:
            questions.write(_LENGTH.pack(len(message)) + message)
            return await _read(answers)
        finally:
            await _close(questions)

    async def _accept(self, listener: socket.socket) -> None:
        """Serve connections over TCP."""
        loop = asyncio.get_running_loop()
        while True:
            connection, _ = await loop.sock_accept(listener)
            self._begin(self._serve(connection))

    async def _serve(self, connection: socket.socket) -> None:
        """Answer the questions of one connection, one after the other."""
        server = _original(connection)
        reader, writer = await asyncio.open_connection(sock=connection)
        try:
            while message := await _read(reader):

                async def ask(message: bytes = message) -> bytes | None:
                    return await self._exchange_over_tcp(message, server)

                if (answer := await self._respond(message, server[0], ask)) is not None:
                    writer.write(_LENGTH.pack(len(answer)) + answer)
                    await writer.drain()
        except OSError as error:
            _log.debug("a connection of node %s to a name server ended: %s", self._node, error)
        finally:
            await _close(writer)


async def _close(writer: asyncio.StreamWriter) -> None:
    """Close a connection, and wait until it is."""
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


async def _read(reader: asyncio.StreamReader) -> bytes | None:
    """Read a message from a connection; return None at its end."""
    try:
        (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
        return await reader.readexactly(length)
    except asyncio.IncompleteReadError:
        return None


def _original(connection: socket.socket) -> Endpoint:
    """Return the address that a redirected connection was made to at first."""
    if connection.family == socket.AF_INET:
        packed = connection.getsockopt(socket.SOL_IP, _SO_ORIGINAL_DST, 16)
        port, address = struct.unpack_from("!2xH4s", packed)
    else:
        packed = connection.getsockopt(socket.IPPROTO_IPV6, _SO_ORIGINAL_DST, 28)
        port, address = struct.unpack_from("!2xH4x16s", packed)
    return str(ip_address(address)), port
