"""tcp-stream: the client sends one stream of bytes; the server checks each of them."""

from __future__ import annotations

import os
import socket
from functools import partial
from time import monotonic_ns
from typing import TYPE_CHECKING

from testbed.endpoint import tcp, tcp_info
from testbed.endpoint.errors import EndpointError
from testbed.endpoint.pattern import PERIOD, pattern
from testbed.endpoint.tcp_info import INTERVAL_NS, Sampler
from testbed.endpoint.tls import TlsSocket

if TYPE_CHECKING:
    from collections.abc import Callable

    from testbed.endpoint.owner import Owner
    from testbed.endpoint.spec import Spec

BUCKET_NS = 100_000_000
"""Bytes received are counted per bucket of this length."""

_LINE = 10  # buckets in one line
_READ_BYTES = 1 << 17  # stays in the cache between the kernel's copy and our comparison
_WRITE_BYTES = 1 << 18
_LEAST_UNSENT_BYTES = 1 << 14
_MOST_UNSENT_BYTES = (1 << 31) - 1
_UNSENT_NS = 100_000_000
_TCP_NOTSENT_LOWAT = 25
_FILE_BYTES = PERIOD * 16
_SEND_WAKE_MS = 20  # sendfile may wait as long for each 64 KB, and the stream is to end on time
_UNLIMITED = 1 << 63


prepare = tcp.prepare


def server(spec: Spec, owner: Owner) -> None:
    """Accept one connection, and check and count its bytes until the sender shuts it down."""
    with tcp.listen(spec) as server:
        owner.emit("listening")
        connection = tcp.accept(server, spec, owner)
    with connection:
        owner.emit("accepted", at_ns=monotonic_ns())
        _receive(connection, spec, owner)


def _receive(connection: socket.socket, spec: Spec, owner: Owner) -> None:
    expected = memoryview(pattern(spec.seed, PERIOD + _READ_BYTES))
    data = bytearray(_READ_BYTES)
    begins_with = data.startswith  # memcmp without a copy; comparing memoryviews goes byte by byte
    receive, clock = connection.recv_into, monotonic_ns
    total = offset = in_bucket = first_ns = last_ns = 0
    buckets = _Buckets(owner)
    bucket_end_ns = _UNLIMITED
    while True:
        try:
            size = receive(data)
        except BlockingIOError:
            owner.check()
            continue
        now = clock()
        if not size:
            break
        if not begins_with(expected[offset : offset + size]):
            raise _corrupt(data[:size], expected[offset : offset + size], total)
        if now >= bucket_end_ns:
            owner.check()
            bucket_end_ns = buckets.close(in_bucket, now)
            in_bucket = 0
        elif not total:
            first_ns = now
            bucket_end_ns = buckets.begin(now)
        total += size
        in_bucket += size
        offset = (offset + size) % PERIOD
        last_ns = now
    buckets.end(in_bucket)
    owner.emit("end", bytes=total, first_byte_ns=first_ns, last_byte_ns=last_ns)


def _corrupt(found: bytearray, expected: memoryview, before: int) -> EndpointError:
    at = next(index for index, (is_, should) in enumerate(zip(found, expected, strict=True)) if is_ != should)
    return EndpointError(
        "corrupt-data",
        f"byte {before + at} of the stream is {found[at]:#04x}; {expected[at]:#04x} was sent",
        "something on the path changes packets and makes the checksum right again, or another stream came here",
    )


class _Buckets:
    """Bytes per bucket of time, written as they fill a line."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._start_ns = 0
        self._counts: list[int] = []

    def begin(self, now: int) -> int:
        """Begin the first bucket; when it ends."""
        self._start_ns = now
        return now + BUCKET_NS

    def close(self, count: int, now: int) -> int:
        """End the current bucket, which got `count` bytes, and all empty ones up to `now`; when the next one ends."""
        self._counts.append(count)
        while self._start_ns + (len(self._counts) + 1) * BUCKET_NS <= now:
            self._counts.append(0)
        end_ns = self._start_ns + (len(self._counts) + 1) * BUCKET_NS
        if len(self._counts) >= _LINE:
            self._write()
        return end_ns

    def end(self, count: int) -> None:
        """End the last bucket."""
        if self._start_ns:
            self._counts.append(count)
            self._write()

    def _write(self) -> None:
        self._owner.emit_columns("bytes", {"bytes": self._counts}, start_ns=self._start_ns, bucket_ns=BUCKET_NS)
        self._start_ns += len(self._counts) * BUCKET_NS
        self._counts = []


class _Watch:
    """Watches the sender.

    Attributes:
        unsent: bytes that may wait in the kernel, unsent; it is told after each sample. What the path takes in 0.1 s at
            its latest rate is enough to keep TCP busy. Left alone, the kernel takes megabytes, and on a slow path a
            stream would end minutes after its time.
    """

    def __init__(self, connection: socket.socket, spec: Spec, owner: Owner) -> None:
        self._connection = connection
        self._owner = owner
        self._sampler = Sampler(connection, owner)
        self._stall = tcp.Stall(spec)
        self.unsent = _LEAST_UNSENT_BYTES

    def look(self, now: int) -> int:
        """Sample the sender's state; when to do so next.

        Raises:
            Stopped: the owner wants us to end.
            EndpointError: the stream has stalled.
        """
        self._owner.check()
        row = self._sampler.take(now)
        self._stall.check(row["bytes_acked"])
        self.unsent = max(_LEAST_UNSENT_BYTES, min(row["delivery_rate"] * _UNSENT_NS // 10**9, _MOST_UNSENT_BYTES))
        self._connection.setsockopt(socket.IPPROTO_TCP, _TCP_NOTSENT_LOWAT, self.unsent)
        return now + INTERVAL_NS

    def end(self) -> None:
        """Write what has not been written."""
        self._sampler.write()


def client(spec: Spec, owner: Owner) -> None:
    """Connect and send, for the time or the number of bytes asked for, until the other end has everything."""
    set_up = tcp.connect(spec, owner)
    with set_up.connection as connection:
        set_ups = tcp.SetUps()
        set_ups.add(set_up)
        set_ups.write(owner)
        owner.emit("congestion", name=tcp.congestion(connection))
        tcp.wake(connection, send_ms=_SEND_WAKE_MS)
        watch = _Watch(connection, spec, owner)
        sent = _send(connection, spec, owner, watch)
        connection.shutdown(socket.SHUT_WR)
        _await_close(connection, watch)
        watch.end()
        owner.emit("end", bytes=sent, retransmits=tcp_info.read(connection)["retransmits"])


def _send(connection: socket.socket, spec: Spec, owner: Owner, watch: _Watch) -> int:
    """Send the pattern again and again; the number of bytes."""
    size, duration_ns = spec.parameters.get("size_bytes", _UNLIMITED), spec.parameters.get("duration_ns", _UNLIMITED)
    start_ns = monotonic_ns()
    end_ns = start_ns + duration_ns
    clock = monotonic_ns
    sent = offset = 0
    sample_ns = watch.look(start_ns)
    owner.progress(0)
    chunk = watch.unsent
    content = pattern(spec.seed, _FILE_BYTES)
    with open(os.memfd_create("testbed-pattern"), "w+b", buffering=0) as file:  # noqa: PTH123 (it is a descriptor)
        file.write(content)
        send = _sending(connection, file.fileno(), content)
        while sent < size:
            try:
                count = send(offset, min(chunk, _FILE_BYTES - offset, size - sent))
            except BlockingIOError:
                count = 0
            sent += count
            offset = (offset + count) % _FILE_BYTES
            now = clock()
            if now >= end_ns:
                break
            if now >= sample_ns:
                sample_ns = watch.look(now)
                chunk = min(watch.unsent, _WRITE_BYTES)
                owner.progress(max(sent / size, (now - start_ns) / duration_ns))
    return sent


def _sending(connection: socket.socket, file: int, content: bytes) -> Callable[[int, int], int]:
    """What sends of the content from an offset on so many bytes: from a file in memory, which the kernel need not copy.

    TLS has to see the bytes, so there they are sent from here.
    """
    if isinstance(connection, TlsSocket):
        view = memoryview(content)
        return lambda offset, count: connection.send(view[offset : offset + count])
    return partial(os.sendfile, connection.fileno(), file)


def _await_close(connection: socket.socket, watch: _Watch) -> None:
    """Wait until the other end has read everything and closed; sample meanwhile."""
    sample_ns = 0
    while True:
        now = monotonic_ns()
        if now >= sample_ns:
            sample_ns = watch.look(now)
        try:
            if not connection.recv(1):
                return
        except BlockingIOError:
            continue
