"""Set up and accept TCP connections with the requested congestion control and TLS, and detect stalled ones."""

from __future__ import annotations

import errno
import os
import select
import socket
import struct
from array import array
from dataclasses import dataclass
from pathlib import Path
from time import monotonic_ns
from typing import TYPE_CHECKING

from testbed.endpoint import tls
from testbed.endpoint.errors import EndpointError
from testbed.endpoint.patience import SECOND, stall_ns

if TYPE_CHECKING:
    from testbed.endpoint.owner import Owner
    from testbed.endpoint.spec import Spec

_WAKE_MS = 100
_AVAILABLE = Path("/proc/sys/net/ipv4/tcp_available_congestion_control")


def wake(connection: socket.socket, *, receive_ms: int = _WAKE_MS, send_ms: int = _WAKE_MS) -> None:
    """Limit the time of calls on a blocking socket; after it they raise BlockingIOError.

    Unlike `settimeout`, this needs no further system call per read or write.
    """
    for option, milliseconds in ((socket.SO_RCVTIMEO, receive_ms), (socket.SO_SNDTIMEO, send_ms)):
        connection.setsockopt(socket.SOL_SOCKET, option, struct.pack("@ll", 0, milliseconds * 1000))


def prepare(spec: Spec) -> None:
    """Create the TLS contexts, if the workload uses TLS; that takes some 100 ms."""
    if uses_tls(spec):
        tls.contexts_of(spec.seed)


def listen(spec: Spec) -> socket.socket:
    """Return a socket that listens at the spec's address; accepted connections inherit its congestion control."""
    prepare(spec)  # now, not while a client waits
    server = socket.socket(spec.family, socket.SOCK_STREAM)
    try:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        choose_congestion(server, spec)
        server.bind((spec.address, spec.port))
        server.listen(socket.SOMAXCONN)
        wake(server)
    except BaseException:
        server.close()
        raise
    return server


def uses_tls(spec: Spec) -> bool:
    """Return whether the workload uses TLS."""
    return bool(spec.parameters.get("tls"))


def accept(server: socket.socket, spec: Spec, owner: Owner) -> socket.socket:
    """Wait for the next connection and return it, ready for use.

    Raises:
        Stopped: the owner wants the endpoint to stop.
        EndpointError: TLS failed.
    """
    while True:
        try:
            connection, _ = server.accept()
        except BlockingIOError:
            owner.check()
        else:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            wake(connection)
            if not uses_tls(spec):
                return connection
            return tls.secure(connection, tls.contexts_of(spec.seed).server, owner, spec.round_trip_ns)


@dataclass(frozen=True, slots=True, kw_only=True)
class SetUp:
    """A connection, and the times at which its set-up began, TCP was connected and TLS, if used, was set up; ns."""

    connection: socket.socket
    begun_ns: int
    connected_ns: int
    secured_ns: int | None


def connect(spec: Spec, owner: Owner) -> SetUp:
    """Set up a connection to the spec's address.

    The kernel decides how long that may take: it sends SYNs at 0, 1, 3, 7, 15, 31 and 63 s, and gives up after 127 s
    (`net.ipv4.tcp_syn_retries`).

    Raises:
        EndpointError: TLS failed.
        OSError: the kernel's reason.
    """
    context = tls.contexts_of(spec.seed).client if uses_tls(spec) else None  # before the clock starts: it takes a while
    connection = socket.socket(spec.family, socket.SOCK_STREAM)
    try:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        choose_congestion(connection, spec)
        connection.setblocking(False)  # noqa: FBT003 (the standard library's signature)
        begun_ns = monotonic_ns()
        _await_set_up(connection, spec, owner)
        connected_ns = monotonic_ns()
        connection.setblocking(True)  # noqa: FBT003
        wake(connection)
        secured_ns = None
        if context is not None:
            connection = tls.secure(connection, context, owner, spec.round_trip_ns)
            secured_ns = monotonic_ns()
    except BaseException:
        connection.close()
        raise
    return SetUp(connection=connection, begun_ns=begun_ns, connected_ns=connected_ns, secured_ns=secured_ns)


class SetUps:
    """The times at which the connections of a workload were set up."""

    def __init__(self) -> None:
        self._columns = {name: array("q") for name in ("begun_ns", "connected_ns", "secured_ns")}

    def add(self, set_up: SetUp) -> None:
        """Record a connection."""
        for name, times in self._columns.items():
            time_ns = getattr(set_up, name)
            if time_ns is not None:
                times.append(time_ns)

    def write(self, owner: Owner) -> None:
        """Write the recorded connections, if any, in lines `connections`."""
        if not self._columns["begun_ns"]:
            return
        owner.emit_columns("connections", {name: times for name, times in self._columns.items() if times})


def _await_set_up(connection: socket.socket, spec: Spec, owner: Owner) -> None:
    """Call connect on a non-blocking socket, and wait for the result."""
    writable = select.poll()
    status = connection.connect_ex(spec.destination)
    writable.register(connection, select.POLLOUT)
    while status == errno.EINPROGRESS:
        owner.check()
        if writable.poll(_WAKE_MS):
            status = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if status:
        raise OSError(status, os.strerror(status))


def congestion(connection: socket.socket) -> str:
    """Return the name of the congestion control that the kernel uses for `connection`."""
    raw = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16)
    return raw.split(b"\0")[0].decode("ascii")


def report(set_up: SetUp, owner: Owner) -> None:
    """Report the only connection of a workload: when it was set up, and its congestion control."""
    set_ups = SetUps()
    set_ups.add(set_up)
    set_ups.write(owner)
    owner.emit("congestion", name=congestion(set_up.connection))


def choose_congestion(connection: socket.socket, spec: Spec) -> None:
    """Set the congestion control of `connection`, if the spec names one.

    Raises:
        EndpointError: `congestion-control-unavailable`.
    """
    name = spec.parameters.get("congestion")
    if name is None:
        return
    try:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, name.encode("ascii", "replace"))
    except OSError as error:
        available = ", ".join(_AVAILABLE.read_text("ascii").split())
        raise EndpointError(
            "congestion-control-unavailable",
            f"the kernel refuses congestion control {name!r} here: {error.strerror}",
            f"available are: {available}; others need their module loaded on the machine (modprobe tcp_{name})",
        ) from error


class Stall:
    """Detects a connection that has made no progress for too long."""

    def __init__(self, spec: Spec) -> None:
        self._limit_ns = stall_ns(spec.round_trip_ns)
        self._value = -1
        self._since_ns = monotonic_ns()

    def check(self, value: int) -> None:
        """Compare a measure of progress with its value at the last call.

        Raises:
            EndpointError: `stalled`: the value has been the same for longer than TCP needs on this path.
        """
        now = monotonic_ns()
        if value != self._value:
            self._value, self._since_ns = value, now
        elif now - self._since_ns > self._limit_ns:
            raise EndpointError(
                "stalled",
                f"the other end has taken or sent nothing for {self._limit_ns // SECOND} s",
                "is the path partitioned, or its loss near 100 %?",
            )
