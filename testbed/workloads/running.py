"""Run one workload: prepare and start its two endpoints, record their output and, in any case, end them.

Both endpoints prepare first: the server listens, the client has loaded and computed all that it needs and has sent no
packet. When all workloads that start together are ready, all clients receive one start time in the near future
(`testbed.workloads.start_barrier`).
"""

from __future__ import annotations

import json
import logging
import queue
import threading
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Self

from testbed import logs
from testbed.records import ClientReady, End, Failed, Listening, Progress, RecordError, Started, parse
from testbed.workloads.endpoints import kind_of, linger_ns, start_client, start_server
from testbed.workloads.errors import WorkloadError
from testbed.workloads.start_barrier import StartBarrier

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TextIO

    from testbed.plan.workloads import Workload
    from testbed.workloads.nodes import EndpointProcess, Nodes
    from testbed.workloads.summarisers import Summariser
    from testbed.workloads.summary import Summary

_log = logging.getLogger(__name__)

SILENCE_S = 90.0
"""How long both endpoints may be silent. A client that waits for the server reports progress twice a second."""

IN_FLIGHT_NS = 1_000_000_000

_UNREAD = 64
"""The most lines that wait to be processed; an endpoint that writes faster is blocked, so that memory stays bounded."""

_OTHER_ERROR_S = 0.5
_THREAD_S = 5.0
_DRAIN_S = 0.01


def run(
    workload: Workload,
    nodes: Nodes,
    *,
    record: TextIO,
    progress: Callable[[float], None] | None = None,
    in_flight_ns: int = IN_FLIGHT_NS,
    round_trip_ns: int = 0,
    start: StartBarrier | None = None,
) -> Summary:
    """Run a workload and return its summary. Several may run at once, each in its own thread.

    Args:
        workload: the workload.
        nodes: the nodes of the lab.
        record: receives the endpoints' lines, each a JSON object with the `node` that wrote it; `testbed.endpoint`
            describes them.
        progress: called with the fraction done, in the calling thread.
        in_flight_ns: the longest time that a packet may be in flight: the server listens that long after the client's
            end, unless it ends by itself (see `linger_ns`).
        start: the start that this workload shares with others; by default it begins as soon as it is ready.
        round_trip_ns: the longest round trip of the path, which decides how long endpoints wait for each other.

    Returns:
        The summary of the record.

    Raises:
        WorkloadError: an endpoint failed, died or fell silent; the code is the endpoint's own if it reported one.
            Both endpoints have ended then, as after any other exception, such as KeyboardInterrupt.
    """
    kind = kind_of(workload)
    summariser: Summariser = kind.summariser(workload)
    start = start or StartBarrier(1, nodes.now_ns)
    with _Endpoints(workload, record, summariser, progress) as endpoints:
        with logs.timed(_log, f"{workload.name}: prepare endpoints", level=logging.DEBUG):
            if kind.has_server:
                endpoints.start(workload.destination, start_server(workload, nodes, round_trip_ns))
            client = start_client(workload, nodes, round_trip_ns)
            endpoints.start(workload.source, client)
            endpoints.process_until(lambda: endpoints.ready and (endpoints.listening or not kind.has_server))
        start_ns = start.wait()
        client.begin(start_ns)
        endpoints.process_until(lambda: endpoints.began_ns is not None)
        start.began_ns[workload.name] = began_ns = endpoints.began_ns or 0
        _log.debug("%s: client began %d ns after the start time", workload.name, began_ns - start_ns)
        endpoints.process_until(lambda: endpoints.has_ended(workload.source))
        _log.debug("%s: client in %s has ended", workload.name, workload.source)
        if kind.has_server:
            linger_s = linger_ns(workload, in_flight_ns, round_trip_ns) / 1e9
            endpoints.process_for(linger_s, unless_ended=workload.destination)
            endpoints.stop(workload.destination)
            endpoints.process_until(lambda: endpoints.has_ended(workload.destination))
            _log.debug("%s: server in %s has ended", workload.name, workload.destination)
    return summariser.finish()


class _Endpoints:
    """The endpoints of one workload and their output. One thread per endpoint reads; the caller does the rest.

    Attributes:
        listening: whether the server listens.
        ready: whether the client is ready.
        began_ns: when the client began, by its own clock; None before.
    """

    def __init__(
        self,
        workload: Workload,
        record: TextIO,
        summariser: Summariser,
        progress: Callable[[float], None] | None,
    ) -> None:
        self.listening = self.ready = False
        self.began_ns: int | None = None
        self._workload = workload
        self._record = record
        self._summariser = summariser
        self._progress = progress
        self._processes: dict[str, EndpointProcess] = {}
        self._threads: list[threading.Thread] = []
        self._ended: set[str] = set()
        self._complete: set[str] = set()
        self._output: queue.Queue[tuple[str, str | int | BaseException]] = queue.Queue(_UNREAD)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes.values():
            process.kill()
        deadline = monotonic() + _THREAD_S
        while monotonic() < deadline and any(thread.is_alive() for thread in self._threads):
            with suppress(queue.Empty):  # a thread may wait for room in the queue
                self._output.get(timeout=_DRAIN_S)

    def start(self, node: str, process: EndpointProcess) -> None:
        """Start a thread that reads the output of an endpoint in a node."""
        self._processes[node] = process
        thread = threading.Thread(target=self._read, args=(node, process), daemon=True)
        self._threads.append(thread)
        thread.start()

    def _read(self, node: str, process: EndpointProcess) -> None:
        """Enqueue the lines of an endpoint and its exit status, or the exception that ended the reading."""
        try:
            for line in process:
                self._output.put((node, line))
            self._output.put((node, process.wait()))
        except BaseException as error:  # noqa: BLE001 (it is raised again in the caller's thread)
            self._output.put((node, error))

    def stop(self, node: str) -> None:
        """Stop an endpoint."""
        self._processes[node].close_stdin()

    def has_ended(self, node: str) -> bool:
        """Return whether an endpoint has ended successfully."""
        return node in self._ended

    def process_until(self, condition: Callable[[], bool]) -> None:
        """Process the output of the endpoints until a condition holds.

        Raises:
            WorkloadError: an endpoint failed, died or fell silent.
        """
        while not condition():
            if not self._process_next(SILENCE_S):
                waits = {self._workload.source} if self.ready and self.began_ns is None else set()
                silent = sorted(self._processes.keys() - self._ended - waits)
                raise self._error("endpoint-silent", f"{' and '.join(silent)} said nothing for {SILENCE_S:.0f} s")

    def process_for(self, seconds: float, *, unless_ended: str) -> None:
        """Process the output of the endpoints for a time, or until one of them has ended.

        Raises:
            WorkloadError: an endpoint failed or died.
        """
        deadline = monotonic() + seconds
        while not self.has_ended(unless_ended) and (left := deadline - monotonic()) > 0:
            self._process_next(left)

    def _process_next(self, seconds: float) -> bool:
        """Process the next line or exit status; return False if there is none within the time."""
        try:
            node, item = self._output.get(timeout=seconds)
        except queue.Empty:
            return False
        failure = self._process(node, item)
        if failure is not None:
            raise self._with_other_failure(failure, node)
        return True

    def _process(self, node: str, item: str | int | BaseException) -> WorkloadError | None:
        """Process a line or an exit status and return the failure that it reports, or None."""
        if isinstance(item, BaseException):
            raise item
        if isinstance(item, str):
            return self._process_line(node, item)
        if item == 0 and node in self._complete:
            self._ended.add(node)
            return None
        hint = (
            "a fault that stops or kills its node ends it too: let the timeline do so after the workload, or pause; "
            "chaos has nodes: and faults: to leave the node or such faults out"
        )
        return self._error("endpoint-died", f"{node}: the endpoint died with status {item}", hint)

    def _process_line(self, node: str, line: str) -> WorkloadError | None:
        recorded = f'{{"node":{json.dumps(node)},{line.strip()[1:]}\n'
        try:
            event = parse(recorded)
        except RecordError as error:
            text = f"{node}: the endpoint wrote {line[:200]!r}, which is no event: {error.message}"
            return self._error("endpoint-output", text)
        if isinstance(event, Failed):
            return self._error(event.code, f"{node}: {event.message}", event.hint)
        if isinstance(event, Progress):
            if self._progress is not None:
                self._progress(event.fraction)
            return None
        if isinstance(event, ClientReady):
            self.ready |= node == self._workload.source
            return None
        self.listening |= isinstance(event, Listening)
        if isinstance(event, Started) and node == self._workload.source:
            self.began_ns = event.at_ns
        if isinstance(event, End):
            self._complete.add(node)
        self._record.write(recorded)
        self._summariser.add(event)
        return None

    def _error(self, code: str, message: str, hint: str | None = None) -> WorkloadError:
        return WorkloadError(code, f"workload {self._workload.name}: {message}", hint)

    def _with_other_failure(self, failure: WorkloadError, node: str) -> WorkloadError:
        """Return the failure of one endpoint joined with that of the other, which is often the cause."""
        deadline = monotonic() + (_OTHER_ERROR_S if len(self._processes) > 1 else 0)
        while (left := deadline - monotonic()) > 0:
            try:
                other, item = self._output.get(timeout=left)
            except queue.Empty:
                break
            if other != node and (further := self._process(other, item)) is not None:
                message = f"{failure.message}; {further.message.partition(': ')[2]}"
                return WorkloadError(failure.code, message, further.hint or failure.hint)
        return failure
