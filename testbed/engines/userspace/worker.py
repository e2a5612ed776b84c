"""The process that carries frames: `python -m testbed.engines.userspace.worker FD LEVEL`.

FD is one end of a SOCK_SEQPACKET pair, on which the agent sends requests (`testbed.engines.userspace.requests`). The
worker answers each when it has taken effect, or with the reason why it has none. A datagram that is no request ends it.
LEVEL is the least level of the log records that it writes to standard error, which is the agent's log.
It exits when the other end closes. When the agent dies, the kernel kills the worker, even a
stopped one, so it never outlives the agent.
"""

from __future__ import annotations

import contextlib
import gc
import json
import logging
import os
import resource
import select
import socket
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Final

from testbed import codec, logs
from testbed.engines.userspace import requests
from testbed.engines.userspace.link import DeviceGoneError, LinkBetweenSockets
from testbed.engines.userspace.pace import REST_S, Pace
from testbed.engines.userspace.reading import BATCH, FrameReader
from testbed.engines.userspace.sending import PacketSender
from testbed.impairments import Impairments
from testbed.linux import namespaces

if TYPE_CHECKING:
    from collections.abc import Sequence

    from testbed.engines.counters import Counters

_log = logging.getLogger("testbed.engines.userspace.worker")  # `__name__` is "__main__"

_DESCRIPTORS: Final = 1 + 2 * requests.LINKS_MOST
"""The most descriptors that come with a request."""

_CLOSING_THREADS = 32

_SLEEP_SHARE = 0.998
"""The kernel may extend a sleep by 0.1 % (fs/select.c, select_estimate_accuracy): sleep less, then the remainder."""


class Worker:
    """Links, the control socket, and the loop that serves them."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._reader = FrameReader()
        self._sender = PacketSender()
        self._links: dict[str, LinkBetweenSockets] = {}
        self._live: dict[int, LinkBetweenSockets] = {}  # by the descriptor of the input
        self._holding: dict[int, LinkBetweenSockets] = {}  # of these, those that may have something to release
        self._poll = select.epoll()
        self._poll.register(control, select.EPOLLIN)
        self._pace = Pace(time.monotonic_ns())

    def run(self) -> None:
        """Serve until the control socket's other end closes."""
        live = self._live
        control = self._control.fileno()
        events: list[tuple[int, int]] = []
        while True:
            requested = False
            packets = 0
            more = False
            for descriptor, _ in events:
                if descriptor == control:
                    requested = True
                    continue
                link = live[descriptor]
                try:
                    frames, count = link.read(self._reader)
                except DeviceGoneError:
                    self._retire(link)
                    continue
                packets += count
                self._holding[descriptor] = link
                more |= frames == BATCH
            wakeup = self._release_due()
            if requested:
                if not self._serve_request():
                    return
                wakeup = self._release_due()  # what waits may be due sooner now
            now = time.monotonic_ns()
            more |= wakeup is not None and wakeup <= now
            if self._pace.rests(packets, now, more=more):
                time.sleep(REST_S)
                self._pace.rested(time.monotonic_ns())
            events = self._wait(wakeup)

    def close(self) -> None:
        """Close all links at once.

        The kernel waits for all processors whenever a packet socket is closed (packet_release). Closing many together
        takes no longer than closing one.
        """
        with ThreadPoolExecutor(_CLOSING_THREADS) as pool:
            list(pool.map(LinkBetweenSockets.close, self._links.values()))

    def _release_due(self) -> int | None:
        """Release the due frames of every link, and return when the next frame is due.

        Links that hold nothing are left out: there may be thousands of them.
        """
        earliest = None
        for descriptor, link in tuple(self._holding.items()):
            wakeup = link.emulator.next_wakeup()
            if wakeup is None:
                del self._holding[descriptor]
                continue
            now = time.monotonic_ns()
            if wakeup <= now:
                try:
                    link.release(now, self._sender)
                except DeviceGoneError:
                    self._retire(link)
                    continue
                wakeup = link.emulator.next_wakeup()
            if wakeup is not None and (earliest is None or wakeup < earliest):
                earliest = wakeup
        return earliest

    def _wait(self, wakeup: int | None) -> list[tuple[int, int]]:
        """Wait until something can be read or until `wakeup`, ns, and return the events of epoll."""
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
        self._pace.rested(time.monotonic_ns())
        return events

    def _serve_request(self) -> bool:
        """Answer one request; return False if the other end has closed."""
        descriptors: list[int] = []
        try:
            data, descriptors, _, _ = socket.recv_fds(self._control, requests.DATAGRAM_BYTES, _DESCRIPTORS)
            if not data:
                return False
            answer = self._answer(requests.decode_request(data), descriptors)
            self._control.send(requests.encode(answer))
        except (BrokenPipeError, ConnectionResetError):
            return False
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        return True

    def _answer(self, request: requests.Request, descriptors: list[int]) -> requests.Answer:
        """Carry out a request, and return the answer."""
        counters = None
        try:
            match request:
                case requests.Add():
                    self._add(request.links, _read_impairments(descriptors[0]), descriptors[1:])
                case requests.Replace():
                    (impairments,) = _read_impairments(descriptors[0])
                    self._checked(request.link).replace(impairments)
                case requests.RestartLinks():
                    self._restart(request.links, request.origin_ns)
                case requests.Remove():
                    self._remove(request.link)
                case requests.Count():
                    counters = {name: self._count(name) for name in request.links}
        except (OSError, ValueError, TypeError, KeyError, IndexError) as error:
            _log.info("%s refused: %r", request, error)
            return requests.Answer(id=request.id, error=f"{type(error).__name__}: {error}")
        _log.debug("done: %s", request)
        return requests.Answer(id=request.id, counters=counters)

    def _restart(self, links: Sequence[str], origin_ns: int | None) -> None:
        """Restart links; ValueError if there are some that can't be, once the others are."""
        failures = []
        for link in links:
            try:
                self._checked(link).restart(origin_ns)
            except ValueError as failure:
                failures.append(str(failure))
        if failures:
            raise ValueError("; ".join(failures))

    def _count(self, name: str) -> Counters:
        """Return the counters of a link, also of a dead one."""
        with contextlib.suppress(ValueError):
            self._checked(name)
        return self._links[name].stats()

    def _add(
        self, links: Sequence[requests.Begun], impairments_of_links: Sequence[Impairments], descriptors: list[int]
    ) -> None:
        """Add all links, or none."""
        added: list[str] = []
        try:
            for link, impairments, source, output in zip(
                links, impairments_of_links, descriptors[::2], descriptors[1::2], strict=True
            ):
                self._add_one(link, impairments, [source, output])
                added.append(link.link)
            _log.info("carries %d links, %d of them new", len(self._links), len(added))
        except BaseException:
            for name in added:
                self._remove(name)
            raise

    def _remove(self, name: str) -> None:
        link = self._links.pop(name)
        self._retire(link)
        link.close()

    def _add_one(self, begun: requests.Begun, impairments: Impairments, descriptors: list[int]) -> None:
        if begun.link in self._links:
            raise ValueError(f"link {begun.link} is here already")
        source, output = [socket.socket(fileno=os.dup(descriptor)) for descriptor in descriptors]
        try:
            if {source.family, output.family} != {socket.AF_PACKET}:
                raise ValueError(f"not packet sockets: {source}, {output}")  # noqa: TRY301 - closes both
            link = LinkBetweenSockets(impairments, begun.seed, source, output, begun.origin_ns)
        except BaseException:
            source.close()
            output.close()
            raise
        self._poll.register(link.input, select.EPOLLIN)
        self._live[link.input.fileno()] = link
        self._links[begun.link] = link

    def _checked(self, name: str) -> LinkBetweenSockets:
        """Return the link of that name; raise ValueError if it is dead."""
        link = self._links[name]
        try:
            link.check_devices()
        except DeviceGoneError as error:
            self._retire(link)
            _log.info("link %s is dead: %s", name, error)
            raise ValueError(f"link {name} is dead: {error}") from None
        return link

    def _retire(self, link: LinkBetweenSockets) -> None:
        """Stop serving the link."""
        self._holding.pop(link.input.fileno(), None)
        if self._live.pop(link.input.fileno(), None):
            self._poll.unregister(link.input)


def _read_impairments(descriptor: int) -> tuple[Impairments, ...]:
    """Read the impairments of links from a file, given as a descriptor.

    Raises:
        OSError, ValueError: the file does not contain them.
    """
    with open(os.dup(descriptor), encoding="utf-8") as file:  # noqa: PTH123 - a descriptor
        file.seek(0)
        return codec.decode(json.load(file), tuple[Impairments, ...])


def main() -> None:
    """Serve the control socket whose descriptor is the first argument, at the log level that is the second."""
    logs.configure(int(sys.argv[2]))
    namespaces.die_with_parent()
    with contextlib.suppress(OSError):  # without it sleeps last up to 50 us longer, which the lateness shows
        Path("/proc/self/timerslack_ns").write_text("1", encoding="ascii")
    with contextlib.suppress(PermissionError):  # an ordinary user's worker has normal priority
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(os.sched_get_priority_min(os.SCHED_RR)))
    _, most_files = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most_files, most_files))  # many soft limits are 1024
    gc.disable()  # nothing here makes cycles, and looking for them among the frames in flight takes milliseconds
    worker = Worker(socket.socket(fileno=int(sys.argv[1])))
    worker.run()
    worker.close()


if __name__ == "__main__":
    main()
