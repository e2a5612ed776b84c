"""tcp-stream: the client sends one stream of bytes; the server checks every byte."""

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
"""Received bytes are counted per bucket of this length."""

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


def _corrupt(received: bytearray, expected: memoryview, before: int) -> EndpointError:
    at = next(index for index, (actual, wanted) in enumerate(zip(received, expected, strict=True)) if actual != wanted)
    return EndpointError(
        "corrupt-data",
        f"byte {before + at} of the stream is {received[at]:#04x}; {expected[at]:#04x} was sent",
        "something on the path changes packets and makes the checksum right again, or another stream came here",
    )


class _Buckets:
    """Counts bytes per bucket of time, and writes the counts when they fill a line."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._start_ns = 0
        self._counts: list[int] = []

    def begin(self, now: int) -> int:
        """Begin the first bucket and return the time of its end."""
        self._start_ns = now
        return now + BUCKET_NS

    def close(self, count: int, now: int) -> int:
        """End the current bucket with `count` bytes and the empty ones up to `now`; return the end of the next one."""
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


class _SenderMonitor:
    """Samples the sender and limits the unsent data in the kernel.

    Attributes:
        unsent: the bytes that may wait unsent in the kernel, set after each sample. What the path carries in 0.1 s at
            the latest rate is enough to keep TCP busy. Without a limit the kernel buffers megabytes, and on a slow path
            the stream would end minutes too late.
    """

    def __init__(self, connection: socket.socket, spec: Spec, owner: Owner) -> None:
        self._connection = connection
        self._owner = owner
        self._sampler = Sampler(connection, owner)
        self._stall = tcp.Stall(spec)
        self.unsent = _LEAST_UNSENT_BYTES

    def sample(self, now: int) -> int:
        """Sample the sender's state and return the time of the next sample.

        Raises:
            Stopped: the owner wants the endpoint to stop.
            EndpointError: the stream has stalled.
        """
        self._owner.check()
        row = self._sampler.take(now)
        self._stall.check(row["bytes_acked"])
        self.unsent = max(_LEAST_UNSENT_BYTES, min(row["delivery_rate"] * _UNSENT_NS // 10**9, _MOST_UNSENT_BYTES))
        self._connection.setsockopt(socket.IPPROTO_TCP, _TCP_NOTSENT_LOWAT, self.unsent)
        return now + INTERVAL_NS

    def end(self) -> None:
        """Write the samples that are not written yet."""
        self._sampler.write()


def client(spec: Spec, owner: Owner) -> None:
    """Connect, send for the given time or number of bytes, and wait until the server has received all."""
    set_up = tcp.connect(spec, owner)
    with set_up.connection as connection:
        tcp.report(set_up, owner)
        tcp.wake(connection, send_ms=_SEND_WAKE_MS)
        monitor = _SenderMonitor(connection, spec, owner)
        sent = _send(connection, spec, owner, monitor)
        connection.shutdown(socket.SHUT_WR)
        _await_close(connection, monitor)
        monitor.end()
        owner.emit("end", bytes=sent, retransmits=tcp_info.read(connection)["retransmits"])


def _send(connection: socket.socket, spec: Spec, owner: Owner, monitor: _SenderMonitor) -> int:
    """Send the pattern repeatedly, and return the number of bytes sent."""
    size, duration_ns = spec.parameters.get("size_bytes", _UNLIMITED), spec.parameters.get("duration_ns", _UNLIMITED)
    start_ns = monotonic_ns()
    end_ns = start_ns + duration_ns
    clock = monotonic_ns
    sent = offset = 0
    sample_ns = monitor.sample(start_ns)
    owner.progress(0)
    chunk = monitor.unsent
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
                sample_ns = monitor.sample(now)
                chunk = min(monitor.unsent, _WRITE_BYTES)
                owner.progress(max(sent / size, (now - start_ns) / duration_ns))
    return sent


def _sending(connection: socket.socket, file: int, content: bytes) -> Callable[[int, int], int]:
    """Return a function that sends bytes of the content from an offset: from a file in memory, without a copy.

    With TLS, whose encryption needs the bytes in this process, it sends from `content`.
    """
    if isinstance(connection, TlsSocket):
        view = memoryview(content)
        return lambda offset, count: connection.send(view[offset : offset + count])
    return partial(os.sendfile, connection.fileno(), file)


def _await_close(connection: socket.socket, monitor: _SenderMonitor) -> None:
    """Wait until the server has read everything and closed the connection; take samples meanwhile."""
    sample_ns = 0
    while True:
        now = monotonic_ns()
        if now >= sample_ns:
            sample_ns = monitor.sample(now)
        try:
            if not connection.recv(1):
                return
        except BlockingIOError:
            continue
