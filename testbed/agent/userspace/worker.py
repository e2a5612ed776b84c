"""The process that carries frames: `python -m testbed.agent.userspace.worker FD`.

FD is one end of a SOCK_SEQPACKET pair. Each datagram on it is a request, a JSON object with `id`, `do`, `link` and,
as descriptors that come along:

- `add`, with `seed`: a file with the shape (as JSON of `Shape.to_json`: a trace is too large for a datagram), and two
  packet sockets, input and output;
- `replace`: a file with the shape;
- `restart`, with `seed`: a file with the shape;
- `remove`, `stats`: nothing.

It is answered by `{"id": …}` once it took effect, with `stats` where asked for, or by `{"id": …, "error": …}`. When
the other end closes, the process exits; so it never outlives the agent.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import select
import socket
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from testbed.agent.userspace.core import LinkEmulator
from testbed.agent.userspace.sockets import device_name, frame_limit, kernel_drops, read_lag
from testbed.shape import Shape

if TYPE_CHECKING:
    from testbed.agent.userspace.stats import LinkStats

REQUEST_BYTES: Final = 65536
"""The most bytes of one request or answer."""

_DESCRIPTORS = 3
"""The most descriptors that come with a request."""

_READ_BATCH = 32
"""Frames read from one link before the next has its turn."""

_RELEASE_BATCH = 64
"""Frames released to one link before the next has its turn; more than are read, so that a backlog shrinks."""

_WORK_MOST_NS = 1_000_000
_REST_S = 60e-6
"""How long the worker goes on without rest, and how long it rests then: more than 5 % of the time, because the kernel
stops a real-time process that takes all of it for 50 ms of every second (sched_rt_runtime_us)."""

_SLEEP_SHARE = 0.998
"""The kernel may let a sleep last 0.1 % longer (fs/select.c, select_estimate_accuracy): sleep less, then the rest."""


class DeviceGoneError(Exception):
    """A device that a link needs no longer exists."""


class Link:
    """A link's emulator between its two sockets.

    Args:
        shape, seed: what the link does.
        source, output: its packet sockets.

    Attributes:
        emulator: what holds and drops the frames.
        input: the packet socket that they come from.
        dead: why the link passes nothing any more, or None.
    """

    def __init__(self, shape: Shape, seed: int, source: socket.socket, output: socket.socket) -> None:
        self.input = source
        self.dead: str | None = None
        self._output = output
        self._limit = frame_limit(source)
        self._arrived = 0
        self.restart(shape, seed)

    def restart(self, shape: Shape, seed: int) -> None:
        """Begin anew, with nothing in flight and all counters at zero."""
        self.emulator = LinkEmulator(shape, seed, time.monotonic_ns())
        self._oversize = 0
        self._send_failures = 0
        self._kernel_drops = 0
        kernel_drops(self.input)  # asking begins a new count

    def read(self) -> None:
        """Take a batch of frames from the input.

        Raises:
            DeviceGoneError: nothing will come any more.
        """
        receive = self.input.recv
        size = self._limit + 1  # one byte more tells a frame that is too large
        packets: list[bytes] = []
        take = packets.append
        try:
            for _ in range(_READ_BATCH):
                take(receive(size))
        except BlockingIOError:
            pass
        except OSError:
            self.check_devices()
        if not packets:
            return
        if max(map(len, packets)) == size:
            kept = [packet for packet in packets if len(packet) < size]
            self._oversize += len(packets) - len(kept)
            packets = kept
        lag = read_lag(self.input)  # first: where the process is interrupted now, the frame counts as late, not early
        self._arrived = max(self._arrived, time.monotonic_ns() - lag)
        self.emulator.accept(packets, self._arrived)

    def release(self, now: int) -> None:
        """Send a batch of the frames that are due at `now`, ns.

        Raises:
            DeviceGoneError: nothing will ever be sent any more.
        """
        send = self._output.send
        for packet in self.emulator.release(now, _RELEASE_BATCH):
            try:
                send(packet)
            except OSError:  # the port's queue is full, or it is down, which may pass
                self._send_failures += 1
                self.check_devices()

    def check_devices(self) -> None:
        """Raise DeviceGoneError if a device does not exist any more; one that is down may come back."""
        for side, sock in (("input", self.input), ("output", self._output)):
            if not device_name(sock):
                self.dead = f"the device of the link's {side} is gone"
                raise DeviceGoneError(self.dead)

    def stats(self) -> LinkStats:
        """All counters of the link."""
        self._kernel_drops += kernel_drops(self.input)
        return replace(
            self.emulator.stats(),
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


class Worker:
    """Links, the control socket, and the loop that serves them."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._links: dict[str, Link] = {}
        self._live: dict[int, Link] = {}  # by the descriptor of the input
        self._poll = select.epoll()
        self._poll.register(control, select.EPOLLIN)
        self._rested = time.monotonic_ns()

    def run(self) -> None:
        """Serve until the control socket's other end closes."""
        live = self._live
        control = self._control.fileno()
        events: list[tuple[int, int]] = []
        while True:
            requested = False
            for descriptor, _ in events:
                if descriptor == control:
                    requested = True
                    continue
                link = live[descriptor]
                try:
                    link.read()
                except DeviceGoneError:
                    self._retire(link)
            wakeup = self._release_due()
            if requested and not self._serve_request():
                return
            events = self._wait(wakeup)

    def _release_due(self) -> int | None:
        """Release what is due on every link; returns when the next frame is due."""
        earliest = None
        for link in tuple(self._live.values()):
            wakeup = link.emulator.next_wakeup()
            if wakeup is None:
                continue
            now = time.monotonic_ns()
            if wakeup <= now:
                try:
                    link.release(now)
                except DeviceGoneError:
                    self._retire(link)
                    continue
                wakeup = link.emulator.next_wakeup()
            if wakeup is not None and (earliest is None or wakeup < earliest):
                earliest = wakeup
        return earliest

    def _wait(self, wakeup: int | None) -> list[tuple[int, int]]:
        """What can be read, as epoll says, as soon as there is anything; nothing where `wakeup`, ns, is earlier."""
        if time.monotonic_ns() - self._rested > _WORK_MOST_NS:
            time.sleep(_REST_S)
            self._rested = time.monotonic_ns()
        events = self._poll.poll(0)
        if events:
            return events
        if wakeup is None:
            events = self._poll.poll()
        else:
            timeout = (wakeup - time.monotonic_ns()) * _SLEEP_SHARE / 1e9
            if timeout <= 0:
                return events
            select.select([self._poll], [], [], timeout)  # epoll's own timeout is in milliseconds
            events = self._poll.poll(0)
        self._rested = time.monotonic_ns()
        return events

    def _serve_request(self) -> bool:
        """Answer one request; False where the other end has closed."""
        descriptors: list[int] = []
        try:
            data, descriptors, _, _ = socket.recv_fds(self._control, REQUEST_BYTES, _DESCRIPTORS)
            if not data:
                return False
            request = json.loads(data)
            answer = {"id": request["id"], **self._answer(request, descriptors)}
            self._control.send(json.dumps(answer).encode())
        except (BrokenPipeError, ConnectionResetError):
            return False
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        return True

    def _answer(self, request: dict[str, Any], descriptors: list[int]) -> dict[str, Any]:
        try:
            match request["do"], request["link"]:
                case "add", str(name):
                    self._add(name, _read_shape(descriptors[0]), request["seed"], descriptors[1:])
                case "replace", str(name):
                    shape = _read_shape(descriptors[0])
                    self._checked(name).emulator.replace(shape, time.monotonic_ns())
                case "restart", str(name):
                    self._checked(name).restart(_read_shape(descriptors[0]), request["seed"])
                case "remove", str(name):
                    link = self._links.pop(name)
                    self._retire(link)
                    link.close()
                case "stats", str(name):
                    with contextlib.suppress(ValueError):
                        self._checked(name)
                    return {"stats": self._links[name].stats().to_json()}
                case other:
                    raise ValueError(f"no request is {other}")  # noqa: TRY301 - errors are answered in one place
        except (OSError, ValueError, TypeError, KeyError, IndexError) as error:
            return {"error": f"{type(error).__name__}: {error}"}
        return {}

    def _add(self, name: str, shape: Shape, seed: int, descriptors: list[int]) -> None:
        if name in self._links:
            raise ValueError(f"link {name} is here already")
        source, output = [socket.socket(fileno=os.dup(descriptor)) for descriptor in descriptors]
        try:
            if {source.family, output.family} != {socket.AF_PACKET}:
                raise ValueError(f"not packet sockets: {source}, {output}")  # noqa: TRY301 - closes both
            link = Link(shape, seed, source, output)
        except BaseException:
            source.close()
            output.close()
            raise
        self._poll.register(link.input, select.EPOLLIN)
        self._live[link.input.fileno()] = link
        self._links[name] = link

    def _checked(self, name: str) -> Link:
        """The link of that name; ValueError where it is dead."""
        link = self._links[name]
        try:
            link.check_devices()
        except DeviceGoneError as error:
            self._retire(link)
            raise ValueError(f"link {name} is dead: {error}") from None
        return link

    def _retire(self, link: Link) -> None:
        """Serve the link no more."""
        if self._live.pop(link.input.fileno(), None):
            self._poll.unregister(link.input)


def _read_shape(descriptor: int) -> Shape:
    """The shape in a file.

    Raises:
        OSError, ValueError, TypeError, KeyError: there is none in it.
    """
    with open(os.dup(descriptor), encoding="utf-8") as file:  # noqa: PTH123 - a descriptor
        file.seek(0)
        return Shape.from_json(json.load(file))


def main() -> None:
    """Serve the control socket whose descriptor is the first argument."""
    with contextlib.suppress(OSError):  # without it sleeps last up to 50 us longer, which the lateness shows
        Path("/proc/self/timerslack_ns").write_text("1", encoding="ascii")
    with contextlib.suppress(PermissionError):  # an ordinary user's worker waits for its turn like everyone
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(os.sched_get_priority_min(os.SCHED_RR)))
    gc.disable()  # nothing here makes cycles, and looking for them among the frames in flight takes milliseconds
    Worker(socket.socket(fileno=int(sys.argv[1]))).run()


if __name__ == "__main__":
    main()
