"""What is known of a run."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Self

from testbed.check import LinkCheck
from testbed.expectations import evaluate
from testbed.plan.model import Plan
from testbed.results.captures import Capture
from testbed.results.connections import Connections
from testbed.results.flows import FlowSum, sums
from testbed.results.starts import StepStart
from testbed.results.timeline import Happening
from testbed.workloads import Summary

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from testbed.expectations import Outcome

VERSION = 1
"""The version of the form of run.json."""

RUN_FILE = "run.json"

RUNNING = "running"
COMPLETE = "complete"
FAILED = "failed"
INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """What carries a link's shape out, and why that."""

    source: str
    destination: str
    network: str
    engine: str
    why: str

    @property
    def ends(self) -> tuple[str, str, str]:
        """Of the link: what tells links apart, see `testbed.plan.Link`."""
        return self.source, self.destination, self.network

    @classmethod
    def of(cls, link: Mapping[str, Any]) -> Self:
        """The engine of a link in the answer of the agent's call `statistics`."""
        return cls(**{one.name: link[one.name] for one in fields(cls)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run, but for the samples.

    Attributes:
        path: its directory, as it was when this was made.
        status: `complete`, or else it is not whole: `failed`, `interrupted`, or `running` (killed, if it is not).
        error: why it is not whole, or None.
        started, ended: UTC, ISO 8601; `ended` is None while it runs.
        plan: of the lab. Its digest is in run.json beside it, and so are the seeds, in the plan.
        runtime: what the nodes are made of, `docker` or `netns`.
        versions: of `kernel`, `python`, `testbed`, and the runtime's own.
        images: of each image that nodes were made of, what it was: its digest in a registry, or its id.
        host: facts about the machine that results depend on, see `testbed.results.host`.
        engines: of each shaped link.
        checks: of each shaped link, before the workloads.
        summaries: of each workload that ended, in the order in which they did.
        statistics_before, statistics_after: what the agent's call `statistics` said before the workloads and after.
        sockets: the TCP connections of nodes, where they were sampled.
        captures: of packets, one per port where they were captured.
        starts: when the workloads of each step began, in the order of the steps.
        timeline: when the events of the plan's timeline happened, as far as they did.
        distrust: why the run is not to be trusted; empty where it is. Before `ended` it says nothing.
    """

    path: Path
    status: str
    error: str | None
    started: str
    ended: str | None
    plan: Plan
    runtime: str
    versions: Mapping[str, str]
    host: Mapping[str, Any]
    images: Mapping[str, str] = field(default_factory=dict)
    engines: tuple[Engine, ...] = ()
    checks: tuple[LinkCheck, ...] = ()
    summaries: tuple[Summary, ...] = ()
    statistics_before: tuple[Mapping[str, Any], ...] = ()
    statistics_after: tuple[Mapping[str, Any], ...] = ()
    sockets: tuple[Connections, ...] = ()
    captures: tuple[Capture, ...] = ()
    starts: tuple[StepStart, ...] = ()
    timeline: tuple[Happening, ...] = ()
    distrust: tuple[str, ...] = ()
    version: int = field(default=VERSION)

    @property
    def is_whole(self) -> bool:
        """Whether the run went on to its end."""
        return self.status == COMPLETE

    @property
    def ending(self) -> str:
        """How a run ended that is not whole: `failed: ...`, `was interrupted`, `was killed, or goes on`."""
        endings = {INTERRUPTED: "was interrupted", RUNNING: "was killed, or goes on"}
        return endings.get(self.status, f"{self.status}: {self.error}")

    @property
    def trusted(self) -> bool:
        """Whether it is whole, all links were as asked, and the emulation kept up."""
        return self.is_whole and not self.distrust and all(check.passed for check in self.checks)

    @property
    def outcomes(self) -> tuple[Outcome, ...]:
        """What became of each expectation whose workloads were all run, in the order of the file."""
        ran = {summary.workload: summary for summary in self.summaries}
        return tuple(evaluate(one, ran) for one in self.plan.expectations if one.workloads <= ran.keys())

    @property
    def sums(self) -> tuple[FlowSum, ...]:
        """What flows of one kind that ran together got in sum."""
        return sums([[each.name for each in stage] for stage in self.plan.stages], self.summaries)

    @property
    def as_expected(self) -> bool:
        """Whether it is whole, all links were as asked, and no expectation failed."""
        links_hold = all(check.passed for check in self.checks)
        return self.is_whole and links_hold and all(outcome.passed for outcome in self.outcomes)

    def summary(self, workload: str) -> Summary:
        """The summary of a workload; KeyError where there is none."""
        for summary in self.summaries:
            if summary.workload == workload:
                return summary
        raise KeyError(workload)

    def to_json(self) -> dict[str, Any]:
        """The run as a JSON object; `from_json` is the way back."""
        data: dict[str, Any] = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "path"}
        data["plan"] = self.plan.to_json()
        data["plan_digest"] = self.plan.digest
        data["trusted"] = self.trusted
        data["engines"] = [{one.name: getattr(each, one.name) for one in fields(each)} for each in self.engines]
        data["checks"] = [check.to_json() for check in self.checks]
        data["sockets"] = [each.to_json() for each in self.sockets]
        data["captures"] = [capture.to_json() for capture in self.captures]
        data["outcomes"] = [outcome.to_json() for outcome in self.outcomes]
        data["summaries"] = [summary.to_json() for summary in self.summaries]
        data["sums"] = [each.to_json() for each in self.sums]
        data["starts"] = [start.to_json() for start in self.starts]
        data["timeline"] = [each.to_json() for each in self.timeline]
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any], path: Path) -> Self:
        """The run that `to_json` made `data` from, found in `path`.

        Raises:
            ValueError: `data` is of another version, or the plan is not the one that was digested.
            KeyError, TypeError: it is no run.
        """
        if data.get("version") != VERSION:
            raise ValueError(f"a run of version {data.get('version')!r}; this is for version {VERSION}")
        plan = Plan.from_json(data["plan"])
        if plan.digest != data["plan_digest"]:
            raise ValueError(f"the digest of its plan is {plan.digest}; it says {data['plan_digest']}")
        return cls(
            **{one.name: data[one.name] for one in fields(cls) if one.name not in ("path", "plan", "images", *_TUPLES)},
            path=path,
            plan=plan,
            images=data.get("images", {}),
            engines=tuple(Engine(**one) for one in data["engines"]),
            checks=tuple(LinkCheck.from_json(one) for one in data["checks"]),
            summaries=tuple(Summary.from_json(one) for one in data["summaries"]),
            statistics_before=tuple(data["statistics_before"]),
            statistics_after=tuple(data["statistics_after"]),
            sockets=tuple(Connections.from_json(one) for one in data.get("sockets", ())),
            captures=tuple(Capture.from_json(one) for one in data.get("captures", ())),
            starts=tuple(StepStart.from_json(one) for one in data.get("starts", ())),
            timeline=tuple(Happening(**one) for one in data.get("timeline", ())),
            distrust=tuple(data["distrust"]),
        )


_TUPLES = (
    "engines",
    "checks",
    "summaries",
    "statistics_before",
    "statistics_after",
    "sockets",
    "captures",
    "starts",
    "timeline",
    "distrust",
)
