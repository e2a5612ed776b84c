"""Netlink messages by the byte: for what pyroute2 does not encode, or not fast enough where there are thousands.

See netlink(7) and rtnetlink(7). The kernel carries a request out while it is being sent, so nothing here waits.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from types import TracebackType

REQUEST, ACK, ROOT_MATCH, REPLACE, EXCL, CREATE = 0x01, 0x04, 0x300, 0x100, 0x200, 0x400  # include/uapi/linux/netlink.h
LINK_GROUP, NEIGHBOUR_GROUP = 0x1, 0x4  # RTMGRP_LINK, RTMGRP_NEIGH of include/uapi/linux/rtnetlink.h

_ERROR, _DONE = 2, 3
_HEADER = struct.Struct("=IHHII")
_SOL_NETLINK, _CAP_ACK = 270, 10
_SO_RCVBUFFORCE = 33
_BATCH = 64  # refusals of so many fit a receive buffer of the default size, and they a send buffer
_RECEIVE_BYTES = 1 << 18
_EVENT_BUFFER_BYTES = 8 << 20

Message = tuple[int, int, bytes]
"""Type, flags beside REQUEST and ACK, and body of a request."""


def attribute(kind: int, value: bytes) -> bytes:
    """Encode an attribute, padded to four bytes; nested ones are concatenated."""
    return struct.pack("=HH", len(value) + 4, kind) + value + bytes(-len(value) % 4)


def attributes(data: bytes) -> dict[int, bytes]:
    """Decode the attributes in `data`, by type without its flags."""
    found = {}
    while len(data) >= 4:  # noqa: PLR2004  # the header of an attribute
        length, kind = struct.unpack_from("=HH", data)
        if length < 4:  # noqa: PLR2004
            break
        found[kind & 0x3FFF] = data[4:length]
        data = data[length + -length % 4 :]
    return found


class RouteSocket:
    """A netlink socket for requests, in the network namespace where it is opened."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
        self._socket.setsockopt(_SOL_NETLINK, _CAP_ACK, 1)
        self._sequence = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def send(self, messages: Sequence[Message], *, tolerated: Collection[int] = ()) -> None:
        """Make requests in order, up to the first that the kernel refuses or a few beyond it.

        Args:
            messages: the requests.
            tolerated: error numbers that are no failure.

        Raises:
            OSError: the first refusal.
        """
        for start in range(0, len(messages), _BATCH):
            *others, last = messages[start : start + _BATCH]
            # Refusals come unasked. Only the last request is acknowledged, which saves reading an answer to each.
            encoded = [self._encode(*message, acknowledged=False) for message in others]
            self._socket.send(b"".join((*encoded, self._encode(*last))))
            failures = [number for number in self._answers() if number not in tolerated]
            if failures:
                raise OSError(failures[0], os.strerror(failures[0]))

    def ask(self, message: Message) -> list[bytes]:
        """Make a request, and return the bodies of the answers.

        Raises:
            OSError: the kernel's refusal.
        """
        self._socket.send(self._encode(*message))
        bodies: list[bytes] = []
        for number in self._answers(bodies):
            raise OSError(number, os.strerror(number))
        return bodies

    def _encode(self, kind: int, flags: int, body: bytes, *, acknowledged: bool = True) -> bytes:
        self._sequence += 1
        padded = body + bytes(-len(body) % 4)
        flags |= REQUEST | ACK * acknowledged
        return _HEADER.pack(16 + len(padded), kind, flags, self._sequence, 0) + padded

    def _answers(self, bodies: list[bytes] | None = None) -> Iterator[int]:
        """Read until the answer to the last request; the error numbers of those that were refused."""
        while True:
            data = self._socket.recv(_RECEIVE_BYTES)
            while data:
                length, kind, _, sequence, _ = _HEADER.unpack_from(data)
                body, data = data[_HEADER.size : length], data[length + -length % 4 :]
                if kind in (_ERROR, _DONE):
                    (number,) = struct.unpack_from("=i", body) if len(body) >= 4 else (0,)  # noqa: PLR2004
                    if number:
                        yield -number
                    if sequence == self._sequence:
                        return
                elif bodies is not None:
                    bodies.append(body)


class EventSocket:
    """A netlink socket that receives changes of the namespace in which it is opened."""

    def __init__(self, groups: int) -> None:
        """`groups` are LINK_GROUP, NEIGHBOUR_GROUP or both."""
        self._socket = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, socket.NETLINK_ROUTE
        )
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _EVENT_BUFFER_BYTES)
        except PermissionError:  # in a user namespace: have what is allowed
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _EVENT_BUFFER_BYTES)
        self._socket.bind((0, groups))

    def fileno(self) -> int:
        """The descriptor, for a selector."""
        return self._socket.fileno()

    def read(self) -> list[tuple[int, bytes]] | None:
        """Type and body of each message that has arrived; None where some were lost."""
        found: list[tuple[int, bytes]] = []
        while True:
            try:
                found += messages_in(self._socket.recv(_RECEIVE_BYTES))
            except BlockingIOError:
                return found
            except OSError as error:
                if error.errno == errno.ENOBUFS:
                    return None
                raise

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


def messages_in(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the type and body of each message that a netlink socket received."""
    while len(data) >= _HEADER.size:
        length, kind, _, _, _ = _HEADER.unpack_from(data)
        yield kind, data[_HEADER.size : length]
        data = data[length + -length % 4 :]
