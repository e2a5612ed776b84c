"""One link between the packet socket that it reads from and the one that it sends to."""

from __future__ import annotations

import contextlib
import errno
import os
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from testbed.engines.userspace.core import LinkEmulator
from testbed.engines.userspace.packet_sockets import device_name, kernel_drops, mtu
from testbed.engines.userspace.reading import BATCH
from testbed.engines.userspace.segments import COMPLETE, Unsummed
from testbed.linux.arrival import monotonic_of

if TYPE_CHECKING:
    import socket

    from testbed.engines.counters import Counters
    from testbed.engines.userspace.reading import FrameReader
    from testbed.engines.userspace.segments import SegmentTrain
    from testbed.engines.userspace.sending import PacketSender
    from testbed.impairments import Impairments

_RELEASE_BATCH: Final = 2 * BATCH
"""The most packets that one link sends before the next has its turn, or twice those that it has read if these are more:
so a backlog shrinks."""


_FEW: Final = 4
"""Up to so many packets are sent one by one."""

_CUTTING_NS: Final = 10**9
"""How long a link sends single packets to a port that has refused several as one frame. The kernel drops what it would
have to cut for a port without offloads (__dev_direct_xmit in net/core/dev.c)."""


class DeviceGoneError(Exception):
    """A device that a link needs no longer exists."""


class LinkBetweenSockets:
    """The emulator of a link between two packet sockets.

    Args:
        impairments: of the link.
        seed: of the link.
        source: the socket that frames are read from.
        output: the socket that frames are sent to.
        origin_ns: time zero of the traces of the link, ns of CLOCK_MONOTONIC; None is now.

    Attributes:
        emulator: holds and drops the frames.
        input: the socket that frames are read from.
        dead: why the link no longer passes frames, or None.
    """

    def __init__(
        self,
        impairments: Impairments,
        seed: int,
        source: socket.socket,
        output: socket.socket,
        origin_ns: int | None = None,
    ) -> None:
        self.input = source
        self._impairments = impairments
        self._seed = seed
        self.dead: str | None = None
        self._output = output
        self._mtu = mtu(source)
        self._arrived = 0
        self._release_most = _RELEASE_BATCH
        self._cutting_until = 0
        self.restart(origin_ns)

    def replace(self, impairments: Impairments) -> None:
        """Replace the impairments (`LinkEmulator.replace`)."""
        self._impairments = impairments
        self.emulator.replace(impairments, time.monotonic_ns())

    def restart(self, origin_ns: int | None = None) -> None:
        """Start again with nothing in flight and all counters at zero; `origin_ns` is time zero of traces."""
        self.emulator = LinkEmulator(self._impairments, self._seed, time.monotonic_ns(), origin_ns)
        self._oversize = 0
        self._send_failures = 0
        self._kernel_drops = 0
        kernel_drops(self.input)  # reading the counter resets it

    def read(self, reader: FrameReader) -> tuple[int, int]:
        """Read a batch of frames from the input; return their number, `reading.BATCH` if more may wait, and of packets.

        Those that arrived within `reading.SPREAD_NS` count as arrived when the last of them did, which spares TCP's
        throughput.

        Raises:
            DeviceGoneError: the input's device no longer exists.
        """
        try:
            arrivals, frames, oversize = reader.read(self.input.fileno(), self._mtu)
        except BlockingIOError:
            return 0, 0
        except OSError:
            self.check_devices()
            return 0, 0
        self._oversize += oversize
        count = oversize
        for wall_ns, packets in arrivals:
            self._arrived = max(self._arrived, monotonic_of(wall_ns))
            count += self.emulator.accept(packets, self._arrived)
        self._release_most = max(_RELEASE_BATCH, 2 * count)
        return frames, count

    def release(self, now: int, sender: PacketSender) -> None:
        """Send a batch of the packets that are due at `now`, ns, those of one frame together.

        Raises:
            DeviceGoneError: the output's device no longer exists.
        """
        singles: list[bytes] = []
        for packet in self.emulator.release(now, self._release_most):
            if isinstance(packet, bytes):
                singles.append(packet)
                continue
            if singles:
                self._send(singles, sender)
                singles = []
            if packet.count == 1 or now >= self._cutting_until:
                self._send_train(packet, now)
            else:
                self._send_apart(packet)
        if singles:
            self._send(singles, sender)

    def _send(self, packets: list[bytes], sender: PacketSender) -> None:
        """Send packets; count those that the port refuses because it is down or its queue full, which may pass."""
        if len(packets) <= _FEW:
            refused = sum(not self._sent(packet) for packet in packets)
        else:
            refused = sender.send(self._output.fileno(), packets)
        if refused:
            self._send_failures += refused
            self.check_devices()

    def _sent(self, packet: bytes) -> bool:
        """Send a packet, which on an idle link is sooner done than by a `PacketSender`; return whether it is sent."""
        try:
            self._output.send((packet.header if isinstance(packet, Unsummed) else COMPLETE) + packet)
        except OSError:
            return False
        return True

    def _send_train(self, train: SegmentTrain, now: int) -> None:
        """Send a train as one frame, or its packets one by one if the port may only take these."""
        try:
            self._output.sendmsg(train.buffers())
        except OSError as error:
            if train.count > 1 and error.errno == errno.ENOBUFS:
                if self._send_apart(train):
                    self._cutting_until = now + _CUTTING_NS
            else:
                self._send_failures += train.count
            self.check_devices()

    def _send_apart(self, train: SegmentTrain) -> int:
        """Send each packet of a train on its own; return how many could be sent."""
        sent = 0
        for number in range(train.count):
            with contextlib.suppress(OSError):
                self._output.sendmsg(train.part(number, number + 1).buffers())
                sent += 1
        self._send_failures += train.count - sent
        return sent

    def check_devices(self) -> None:
        """Raise DeviceGoneError if a device no longer exists; one that is down may come up again."""
        for side, sock in (("input", self.input), ("output", self._output)):
            if not device_name(sock):
                self.dead = f"the device of the link's {side} is gone"
                raise DeviceGoneError(self.dead)

    def stats(self) -> Counters:
        """Return all counters of the link."""
        self._kernel_drops += kernel_drops(self.input)
        return replace(
            self.emulator.stats(time.monotonic_ns()),
            kernel_drops=self._kernel_drops,
            oversize=self._oversize,
            send_failures=self._send_failures,
            worker=os.getpid(),
            worker_cpu_ns=time.process_time_ns(),
            dead=self.dead,
        )

    def close(self) -> None:
        """Close both sockets."""
        self.input.close()
        self._output.close()
