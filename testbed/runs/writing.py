"""Writing of a run to disk while it lasts."""

from __future__ import annotations

import json
import logging
import secrets
import threading
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Self, TextIO

from testbed.errors import UsageError
from testbed.runs import host
from testbed.runs.link_engines import LinkCounters
from testbed.runs.output_files import make_directory, write_whole
from testbed.runs.reading import INCOMPLETE, LATEST, PARTIAL
from testbed.runs.run import COMPLETE, FAILED, INTERRUPTED, RUN_FILE, RUNNING, Run

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from testbed.agent.messages import LinkStatistics
    from testbed.check import LinkCheck, NatCheck
    from testbed.plan.model import Plan
    from testbed.runs.capture_records import CaptureRecord
    from testbed.runs.connections import Connections
    from testbed.runs.event_commands import CommandRecord
    from testbed.runs.link_records import LinkRecord
    from testbed.runs.machine_clocks import MachineClock
    from testbed.runs.run import Status
    from testbed.runs.starts import StepStart
    from testbed.runs.timeline_records import TimelineRecord
    from testbed.workloads.summary import Summary

_log = logging.getLogger(__name__)

LOGS = "logs"
"""Where a run has what the programs of nodes wrote."""

EVENTS = "events"
"""Where a run has what the commands of its timeline wrote."""


class RunWriter:
    """Writes a run. Used as a context: left with an exception, the run is marked incomplete, else it is whole.

        with RunWriter(root, plan, runtime="netns") as writer:
            writer.checked(checks)
            writer.begun(lab.statistics())
            with writer.samples("download") as record:
                writer.ended(workloads.run(workload, nodes, record=record))
            writer.finished(lab.statistics(), reasons)
        writer.run.path

    `samples`, `ended` and `happened` may be called by threads at once.

    Attributes:
        run: the run so far; its `path` is the current directory of the files.
    """

    def __init__(
        self,
        root: Path,
        plan: Plan,
        *,
        runtime: str,
        versions: Mapping[str, str] | None = None,
        images: Mapping[str, str] | None = None,
    ) -> None:
        """Create a run; nothing is written before the context is entered.

        Args:
            root: the directory of all runs.
            plan: of the lab.
            runtime: `docker` or `netns`.
            versions: of the runtime.
            images: of the nodes, see `Run`.

        Raises:
            UsageError: the lab's name is that of the link to the latest run.
        """
        if plan.lab == LATEST:
            raise UsageError(
                "reserved-name", f"a lab named {LATEST!r} can't have results", "choose another name with --name"
            )
        now = datetime.now(UTC)
        self._root = root
        self._lock = threading.Lock()
        self._name = f"{now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"
        self.run = Run(
            path=root / plan.lab / f"{self._name}{PARTIAL}",
            status=RUNNING,
            error=None,
            started=now.isoformat(),
            ended=None,
            plan=plan,
            runtime=runtime,
            versions={**host.versions(), **(versions or {})},
            host=host.facts(),
            images=images or {},
        )

    def __enter__(self) -> Self:
        make_directory(self.run.path / "samples")
        self._write()
        _log.info("record a run in %s", self.run.path)
        return self

    def samples(self, workload: str) -> TextIO:
        """The file of a workload's samples, open for writing; the caller closes it."""
        return (self.run.path / "samples" / f"{workload}.jsonl").open("x", encoding="utf-8")

    def log(self, node: str, log: bytes) -> None:
        """Write the output of a node's programs to `logs/NODE.log`."""
        make_directory(self.run.path / LOGS)
        (self.run.path / LOGS / f"{node}.log").write_bytes(log)

    def checked(self, checks: Iterable[LinkCheck]) -> None:
        """Record the checks of the links."""
        self.run = replace(self.run, checks=tuple(checks))

    def checked_nats(self, checks: Iterable[NatCheck]) -> None:
        """Record the checks of NATs."""
        self.run = replace(self.run, nats=tuple(checks))

    def begun(self, statistics: Sequence[LinkStatistics]) -> None:
        """Record the links' engines and counters before the workloads, from the agent's statistics."""
        counters = tuple(map(LinkCounters.of, statistics))
        engines = tuple(link.chosen for link in counters)
        self.run = replace(self.run, engines=engines, statistics_before=counters)

    def ended(self, summary: Summary) -> None:
        """Record the summary of a workload that has ended."""
        with self._lock:
            self.run = replace(self.run, summaries=(*self.run.summaries, summary))

    def counted(self, record: LinkRecord) -> None:
        """Record the samples of links' counters."""
        self.run = replace(self.run, link_counts=record)

    def sampled(self, connections: Iterable[Connections]) -> None:
        """Record the samples of TCP connections."""
        self.run = replace(self.run, sockets=tuple(connections))

    def captured(self, captures: Iterable[CaptureRecord]) -> None:
        """Record the captures of packets."""
        self.run = replace(self.run, captures=tuple(captures))

    def compared(self, clocks: Iterable[MachineClock]) -> None:
        """Record the clocks of several machines."""
        self.run = replace(self.run, clocks=tuple(clocks))

    def started(self, step: StepStart) -> None:
        """Record when the workloads of a step began."""
        self.run = replace(self.run, starts=(*self.run.starts, step))

    def happened(self, event: TimelineRecord) -> None:
        """Record an event of the timeline that has happened."""
        with self._lock:
            self.run = replace(self.run, timeline=(*self.run.timeline, event))

    @contextmanager
    def command_output(self, number: int, node: str) -> Iterator[tuple[str, TextIO]]:
        """Open the file for what a command of the timeline writes, and yield its name in the run, and the file.

        Args:
            number: of the command, from 1 on.
            node: where it runs.
        """
        make_directory(self.run.path / EVENTS)
        name = f"{EVENTS}/{number}-{node}.txt"
        with (self.run.path / name).open("x", encoding="utf-8") as file:
            yield name, file

    def ran(self, command: CommandRecord) -> None:
        """Record a command of the timeline that has ended."""
        with self._lock:
            self.run = replace(self.run, commands=(*self.run.commands, command))

    def finished(self, statistics: Sequence[LinkStatistics], untrusted_reasons: Iterable[str]) -> None:
        """Record the links' counters after the workloads, and the reasons not to trust the run."""
        counters = tuple(map(LinkCounters.of, statistics))
        self.run = replace(self.run, statistics_after=counters, distrust=tuple(untrusted_reasons))
        for reason in self.run.distrust:
            _log.info("run is not trusted: %s", reason)

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        text = None if error is None else str(error) or type(error).__name__
        status: Status = COMPLETE if error is None else FAILED if isinstance(error, Exception) else INTERRUPTED
        self.run = replace(self.run, status=status, error=text, ended=datetime.now(UTC).isoformat())
        self._write()
        path = self._root / self.run.plan.lab / (self._name if error is None else f"{self._name}{INCOMPLETE}")
        self.run.path.rename(path)
        if error is not None:
            error.add_note(f"what was recorded until then is in {path}")
        self.run = replace(self.run, path=path)
        _log.info("run is %s, in %s", status, path)
        if error is None:
            point_latest(self._root, path)

    def _write(self) -> None:
        write_whole(self.run.path / RUN_FILE, json.dumps(self.run.to_json(), indent=1) + "\n")


def point_latest(root: Path, run: Path) -> None:
    """Point the link `latest` in the directory of all runs to a run; it is replaced, so that it is never missing."""
    temporary = root / f".{LATEST}-{run.name}"
    temporary.symlink_to(f"{run.parent.name}/{run.name}")
    temporary.replace(root / LATEST)
