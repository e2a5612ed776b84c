"""The class `Run`: the content of run.json."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from importlib import import_module
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar, Final, Literal, Self

from testbed import arguments, codec
from testbed.check import LinkCheck, NatCheck
from testbed.errors import MachineError, UsageError
from testbed.expectations import ExpectationOutcome, evaluate
from testbed.html_tables import html_table
from testbed.names import BUILT_IN
from testbed.plan.model import Plan
from testbed.runs.capture_records import CaptureRecord
from testbed.runs.connections import Connections
from testbed.runs.event_commands import CommandRecord
from testbed.runs.flows import FlowSum, sums
from testbed.runs.host import HostFacts
from testbed.runs.link_engines import LinkCounters, LinkEngine, changed_links
from testbed.runs.link_records import LinkRecord, link_observations
from testbed.runs.machine_clocks import MachineClock
from testbed.runs.observations import Row, observations
from testbed.runs.starts import StepStart
from testbed.runs.tables import tables
from testbed.runs.timeline_records import TimelineRecord
from testbed.runs.upgrade import VERSION, upgraded
from testbed.workloads.group_summaries import group_summaries
from testbed.workloads.summary import Summary

RUN_FILE = "run.json"

Status = Literal["running", "complete", "failed", "interrupted"]
RUNNING: Final = "running"
COMPLETE: Final = "complete"
FAILED: Final = "failed"
INTERRUPTED: Final = "interrupted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run, without its samples.

    Attributes:
        path: its directory when this object was made.
        status: `complete`, `failed`, `interrupted`, or `running` (which a run that was killed keeps).
        error: why it is not complete, or None.
        started, ended: UTC, ISO 8601; `ended` is None while it runs.
        plan: of the lab. Its digest is in run.json beside it, and so are the seeds, in the plan.
        runtime: what the nodes are made of: `docker`, `netns`, or `swarm`, containers on several machines.
        versions: of `kernel`, `python`, `testbed`, and the runtime's own.
        images: of each image that nodes were made of, what it was: its digest in a registry, or its id.
        host: facts about the machine that results depend on, see `testbed.runs.host`.
        engines: of each impaired link.
        checks: of each impaired link, before the workloads.
        nats: the checks of NATs, before the workloads.
        summaries: of each workload that ended, in the order in which they did.
        statistics_before, statistics_after: the counters of links before the workloads and after them.
        link_counts: the samples of links' counters; None if the lab has no link with impairments, or the run is older.
        sockets: the samples of TCP connections, one per node.
        captures: of packets, one per port.
        clocks: of the machines that nodes are on, if these are several.
        starts: when the workloads of each step began, in the order of the steps.
        timeline: the events of the plan's timeline that have happened.
        commands: those that these events have started, in the order in which they ended.
        distrust: the reasons why the emulation is not trusted; empty if it is. Set when the run ends.
    """

    DERIVED: ClassVar = ("plan_digest", "trusted", "outcomes", "sums", "groups")

    path: Path = field(metadata=codec.NOT_STORED)
    status: Status
    error: str | None
    started: str
    ended: str | None
    plan: Plan
    runtime: str
    versions: Mapping[str, str]
    host: HostFacts
    images: Mapping[str, str] = field(default_factory=dict)
    engines: tuple[LinkEngine, ...] = ()
    checks: tuple[LinkCheck, ...] = ()
    nats: tuple[NatCheck, ...] = ()
    summaries: tuple[Summary, ...] = ()
    statistics_before: tuple[LinkCounters, ...] = ()
    statistics_after: tuple[LinkCounters, ...] = ()
    link_counts: LinkRecord | None = None
    sockets: tuple[Connections, ...] = ()
    captures: tuple[CaptureRecord, ...] = ()
    clocks: tuple[MachineClock, ...] = field(default=(), metadata=codec.OMIT_DEFAULT)
    starts: tuple[StepStart, ...] = ()
    timeline: tuple[TimelineRecord, ...] = ()
    commands: tuple[CommandRecord, ...] = ()
    distrust: tuple[str, ...] = ()
    version: int = field(default=VERSION)

    def __post_init__(self) -> None:
        for time in (self.started, *(() if self.ended is None else (self.ended,))):
            datetime.fromisoformat(time)

    @property
    def plan_digest(self) -> str:
        """Of the plan, see `testbed.plan.digest`."""
        return self.plan.digest

    @property
    def is_whole(self) -> bool:
        """Whether the run is complete."""
        return self.status == COMPLETE

    @property
    def ending(self) -> str:
        """How a run that is not complete ended: `failed: ...`, `was interrupted`, `was killed or is still running`."""
        endings = {INTERRUPTED: "was interrupted", RUNNING: "was killed or is still running"}
        return endings.get(self.status, f"{self.status}: {self.error}")

    @property
    def trusted(self) -> bool:
        """Whether the run is complete, all links were as requested, and the emulation kept up."""
        return not self.why_not_trusted

    @property
    def why_not_trusted(self) -> tuple[str, ...]:
        """All reasons not to trust the run: it is incomplete, a link was not as requested, the emulation was late."""
        ending = () if self.is_whole else (f"it {self.ending}",)
        links = [f"{check.full_name}: {check.verdict}" for check in self.checks if not check.passed]
        nats = [f"{check.name}: {check.verdict}" for check in self.nats if not check.passed]
        return (*ending, *self.distrust, *links, *nats)

    @property
    def changed_links(self) -> list[str]:
        """The links whose impairments differed from the file's when the run began, see `changed_links`."""
        return changed_links(self.plan, {link.key: link.impairments for link in self.statistics_before})

    @property
    def outcomes(self) -> tuple[ExpectationOutcome, ...]:
        """The outcome of each expectation whose workloads were all run, in the order of the file."""
        ran = {summary.workload: summary for summary in (*self.groups, *self.summaries)}
        return tuple(
            evaluate(expectation, ran) for expectation in self.plan.expectations if expectation.workloads <= ran.keys()
        )

    @property
    def sums(self) -> tuple[FlowSum, ...]:
        """The sums of flows of one kind that ran together."""
        return sums([[workload.name for workload in stage] for stage in self.plan.stages], self.summaries)

    @property
    def groups(self) -> tuple[Summary, ...]:
        """The summaries of workloads that all members of a group of nodes ran, aggregated over the members."""
        return group_summaries(self.plan.workloads, self.summaries)

    @property
    def as_expected(self) -> bool:
        """Whether it is whole, all links and NATs were as requested, and no expectation failed."""
        links_hold = all(check.passed for check in self.checks) and all(check.passed for check in self.nats)
        return self.is_whole and links_hold and all(outcome.passed for outcome in self.outcomes)

    def summary(self, workload: str) -> Summary:
        """Return the summary of a workload, or of all members of a group; raise KeyError if there is none."""
        for summary in (*self.summaries, *self.groups):
            if summary.workload == workload:
                return summary
        names = ", ".join(dict.fromkeys(summary.workload for summary in (*self.groups, *self.summaries)))
        raise KeyError(f"no workload {workload!r} in {self.path}; there are {names or 'none'}")

    def __getitem__(self, workload: str) -> Summary:
        """Return the summary of a workload: `run["download"].goodput`; see `summary`."""
        return self.summary(workload)

    def __repr__(self) -> str:
        return f"<run {self.path}: {self.status}, {'trusted' if self.trusted else 'not trusted'}>"

    def _repr_html_(self) -> str:
        """The verdict, the links and the metrics of the workloads, for a notebook."""
        verdict = html_table(repr(self).strip("<>"), (), [(f"not trusted: {why}",) for why in self.why_not_trusted])
        return "".join([verdict, *tables(self.checks, (*self.summaries, *self.groups))])

    def frame(self, workload: str, library: str = "pandas") -> Any:  # noqa: ANN401  # a type of an optional library
        """Return the samples of a workload as a data frame, one observation per row; see `samples`.

        Args:
            workload: its name.
            library: `pandas` or `polars`, which has to be installed.

        Raises:
            UsageError: as `samples`; `bad-argument`: another library.
            MachineError: `not-installed`.
        """
        arguments.one_of(library, "library", ("pandas", "polars"))
        rows = list(self.samples(workload))
        try:
            frames = import_module(library)
        except ImportError:
            raise MachineError("not-installed", f"{library} is not installed", f"pip install {library}") from None
        if library == "polars":
            return frames.DataFrame(rows, infer_schema_length=None)
        return frames.DataFrame(rows, dtype=object).convert_dtypes()  # integers stay integers where rows lack some

    def samples(self, workload: str) -> Iterator[Row]:
        """Yield the samples of a workload as rows, see `testbed.runs.observations.observations`.

        Args:
            workload: its name; or that of a link, `client -> server`, for the samples of its counters.

        Raises:
            UsageError: it has no samples, or they can't be read.
        """
        if "->" in workload:
            keys = [link.key for link in self.statistics_after or self.statistics_before]
            return link_observations(self.path, self.link_counts, keys, workload)
        names = [workload.name for workload in self.plan.workloads]
        if workload not in names:
            hint = f"its workloads are: {', '.join(names) or 'none'}"
            raise UsageError("unknown-workload", f"{self.path} has no workload {workload!r}", hint)
        return observations(self.path / "samples" / f"{workload}.jsonl")

    def to_json(self) -> dict[str, Any]:
        """Return the run as a JSON object, which `from_json` reads. `run_schema` describes it."""
        encoded: dict[str, Any] = codec.encode(self)
        return encoded

    @classmethod
    def from_json(cls, data: object, path: Path) -> Self:
        """Return the run of a JSON object of `to_json`, whose directory is `path`.

        Raises:
            UnreadableError: `data` is no run, or one of another version, or the plan is not the one that was digested.
            UsageError: `bad-name`.
        """
        if not isinstance(data, dict):
            raise codec.UnreadableError("", "it is no object")
        is_old, data = data.get("version") == 1, upgraded(data)
        if (version := data.get("version")) != VERSION:
            raise codec.UnreadableError("version", f"{version!r}; this is for version {VERSION}")
        run = codec.decode(data, cls, path=path)
        try:
            digest = run.plan.digest
        except ValueError as error:  # an address that is none
            raise codec.UnreadableError("plan", str(error)) from None
        if not is_old and digest != data.get("plan_digest"):
            said = data.get("plan_digest")
            raise codec.UnreadableError("plan_digest", f"the digest of the plan is {digest}; this says {said!r}")
        for place, problem in run._dangling():  # noqa: SLF001  # of this class
            raise codec.UnreadableError(place, problem)
        return run

    def _dangling(self) -> Iterator[tuple[str, str]]:
        """Yield references to what the plan lacks or to files elsewhere: the path of the value, and what is wrong."""
        nodes = {node.name for node in self.plan.nodes} | {*BUILT_IN}
        kinds = {workload.name: workload.kind for workload in self.plan.workloads}
        parts: dict[str, Sequence[LinkCheck | LinkEngine]] = {
            "checks": self.checks,
            "engines": self.engines,
            "statistics_before": self.statistics_before,
            "statistics_after": self.statistics_after,
        }
        for name, links in parts.items():
            for number, link in enumerate(links):
                if unknown := {*link.key.nodes} - nodes:
                    yield f"{name}[{number}]", f"the plan has no node {min(unknown)!r}"
        for number, summary in enumerate(self.summaries):
            if kinds.get(summary.workload) != summary.kind:
                yield f"summaries[{number}]", f"the plan has no {summary.kind} {summary.workload!r}"
        at_nodes: dict[str, Sequence[NatCheck | Connections | CaptureRecord]] = {
            "nats": self.nats,
            "sockets": self.sockets,
            "captures": self.captures,
        }
        for name, records in at_nodes.items():
            for number, one in enumerate(records):
                if one.node not in nodes:
                    yield f"{name}[{number}].node", f"the plan has no node {one.node!r}"
        yield from self._misplaced()

    def _misplaced(self) -> Iterator[tuple[str, str]]:
        """Yield references to files that are not the run's: the path of the value, and what is wrong."""
        recorded: dict[str, Sequence[Connections | CaptureRecord | LinkRecord]] = {
            "sockets": self.sockets,
            "captures": self.captures,
            "link_counts": () if self.link_counts is None else (self.link_counts,),
        }
        for name, files in recorded.items():
            for number, record in enumerate(files):
                file = PurePosixPath(record.file)
                if file.is_absolute() or ".." in file.parts:
                    yield f"{name}[{number}].file", f"{record.file!r} is not in the run's directory"


def run_schema() -> dict[str, Any]:
    """The JSON Schema of run.json, generated from the types. It ships as `run-schema.json`; a test keeps that true."""
    return codec.schema(Run, "testbed run")
