"""One workload, carried out: its two endpoints made ready, started, recorded and, however it goes, ended.

Both endpoints are made ready first: the server listens, the client has loaded and computed all that it needs and has
sent no packet. When every workload that starts at the same time is as far, all clients are told one instant, a little
ahead, at which they begin (`testbed.workloads.starting`).
"""

from __future__ import annotations

import json
import queue
import threading
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Self

from testbed.records import End, Failed, Listening, Progress, Ready, RecordError, Started, parse
from testbed.workloads.errors import WorkloadError
from testbed.workloads.processes import kind_of, linger_ns, start_client, start_server
from testbed.workloads.starting import Start

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TextIO

    from testbed.plan.model import Workload
    from testbed.workloads.nodes import Nodes, Process
    from testbed.workloads.summarisers import Summariser
    from testbed.workloads.summary import Summary

SILENCE_S = 90.0
"""How long no endpoint may say anything. While the source's waits for the other it says so twice a second."""

IN_FLIGHT_NS = 1_000_000_000

_UNHEARD = 64
"""Lines that wait to be taken in, at most; whoever says more waits meanwhile, so that they don't fill memory."""

_OTHERS_SAY_S = 0.5
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
    start: Start | None = None,
) -> Summary:
    """Carry out a workload. Several may run at once, each in a thread of its own.

    Args:
        workload: what to do.
        nodes: where.
        record: gets the endpoints' lines as they come, each a JSON object with the `node` it is from; what they mean
            is in `testbed.endpoint`.
        progress: called with the fraction done, in the calling thread.
        in_flight_ns: the longest that a packet may be under way: the server hears for as long after the client's
            end, unless it knows that all has come (see `linger_ns`).
        start: that it has in common with others; else it begins as soon as it is ready.
        round_trip_ns: the longest round trip of the path: endpoints wait for each other as long as it makes necessary.

    Returns:
        The summary of what was recorded.

    Raises:
        WorkloadError: an endpoint failed, died or fell silent; the code is the endpoint's own where it said one.
            Both have ended then, as they have with any other exception, such as KeyboardInterrupt.
    """
    kind = kind_of(workload)
    summariser: Summariser = kind.summariser(workload)
    start = start or Start(1, nodes.now_ns)
    with _Dialogue(workload, record, summariser, progress) as dialogue:
        if kind.has_server:
            dialogue.start(workload.destination, start_server(workload, nodes, round_trip_ns))
        client = start_client(workload, nodes, round_trip_ns)
        dialogue.start(workload.source, client)
        dialogue.hear_until(lambda: dialogue.ready and (dialogue.listening or not kind.has_server))
        client.begin(start.wait())
        dialogue.hear_until(lambda: dialogue.began_ns is not None)
        start.began_ns[workload.name] = dialogue.began_ns or 0
        dialogue.hear_until(lambda: dialogue.has_ended(workload.source))
        if kind.has_server:
            lingers_s = linger_ns(workload, in_flight_ns, round_trip_ns) / 1e9
            dialogue.hear_for(lingers_s, unless_ended=workload.destination)
            dialogue.stop(workload.destination)
            dialogue.hear_until(lambda: dialogue.has_ended(workload.destination))
    return summariser.finish()


class _Dialogue:
    """The endpoints of one workload, and what they say. One thread per endpoint reads; all else is the caller's.

    Attributes:
        listening: the server is ready.
        ready: the client is.
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
        self._processes: dict[str, Process] = {}
        self._threads: list[threading.Thread] = []
        self._ended: set[str] = set()
        self._complete: set[str] = set()
        self._heard: queue.Queue[tuple[str, str | int | BaseException]] = queue.Queue(_UNHEARD)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes.values():
            process.kill()
        deadline = monotonic() + _THREAD_S
        while monotonic() < deadline and any(thread.is_alive() for thread in self._threads):
            with suppress(queue.Empty):  # a thread may wait for room
                self._heard.get(timeout=_DRAIN_S)

    def start(self, node: str, process: Process) -> None:
        """Have a thread listen to an endpoint that was started in a node."""
        self._processes[node] = process
        thread = threading.Thread(target=self._read, args=(node, process), daemon=True)
        self._threads.append(thread)
        thread.start()

    def _read(self, node: str, process: Process) -> None:
        """Pass on the lines of an endpoint, then its exit status, or why neither can be had."""
        try:
            for line in process:
                self._heard.put((node, line))
            self._heard.put((node, process.wait()))
        except BaseException as error:  # noqa: BLE001 (it is raised again where it is heard)
            self._heard.put((node, error))

    def stop(self, node: str) -> None:
        """Tell an endpoint to end."""
        self._processes[node].close_stdin()

    def has_ended(self, node: str) -> bool:
        """Whether an endpoint has ended, as it should."""
        return node in self._ended

    def hear_until(self, condition: Callable[[], bool]) -> None:
        """Take in what the endpoints say until something is so.

        Raises:
            WorkloadError: an endpoint failed, died or fell silent.
        """
        while not condition():
            if not self._hear(SILENCE_S):
                waits = {self._workload.source} if self.ready and self.began_ns is None else set()
                silent = sorted(self._processes.keys() - self._ended - waits)
                raise self._error("endpoint-silent", f"{' and '.join(silent)} said nothing for {SILENCE_S:.0f} s")

    def hear_for(self, seconds: float, *, unless_ended: str) -> None:
        """Take in what the endpoints say for a time, or until one has ended.

        Raises:
            WorkloadError: an endpoint failed or died.
        """
        deadline = monotonic() + seconds
        while not self.has_ended(unless_ended) and (left := deadline - monotonic()) > 0:
            self._hear(left)

    def _hear(self, seconds: float) -> bool:
        """Take in the next thing that is said; False when nothing is for that long."""
        try:
            node, said = self._heard.get(timeout=seconds)
        except queue.Empty:
            return False
        failure = self._take(node, said)
        if failure is not None:
            raise self._with_others(failure, node)
        return True

    def _take(self, node: str, said: str | int | BaseException) -> WorkloadError | None:
        """Take in a line or an exit status; what it says went wrong, if something did."""
        if isinstance(said, BaseException):
            raise said
        if isinstance(said, str):
            return self._take_line(node, said)
        if said == 0 and node in self._complete:
            self._ended.add(node)
            return None
        return self._error("endpoint-died", f"{node}: the endpoint died with status {said}")

    def _take_line(self, node: str, line: str) -> WorkloadError | None:
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
        if isinstance(event, Ready):
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

    def _with_others(self, failure: WorkloadError, node: str) -> WorkloadError:
        """The failure of one endpoint with what the other says of its own: often that is the cause."""
        deadline = monotonic() + (_OTHERS_SAY_S if len(self._processes) > 1 else 0)
        while (left := deadline - monotonic()) > 0:
            try:
                other, said = self._heard.get(timeout=left)
            except queue.Empty:
                break
            if other != node and (further := self._take(other, said)) is not None:
                message = f"{failure.message}; {further.message.partition(': ')[2]}"
                return WorkloadError(failure.code, message, further.hint or failure.hint)
        return failure
