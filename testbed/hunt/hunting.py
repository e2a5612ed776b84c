"""A hunt from its first seed to the smallest faults that fail."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from testbed import topology
from testbed.errors import UsageError
from testbed.hunt import shrinking
from testbed.hunt.trials import FailureRule, HuntTrial, Trials
from testbed.lab import Observer
from testbed.runs import archive
from testbed.runs.output_files import make_directory, write_whole
from testbed.runtime import state
from testbed.topology import chaos_drawing
from testbed.topology.yaml_text import dumped

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from testbed.topology import Topology

    Entry = dict[str, Any]

_log = logging.getLogger(__name__)

HUNTS = "hunts"
"""The directory of all hunts, in that of all runs."""


class HuntObserver(Observer):
    """Receives the progress of a hunt, and of each of its runs."""

    def drew(self, seed: int, faults: int, number: int, total: int) -> None:
        """The run with a seed begins, the `number`-th of a total."""

    def tried(self, seed: int, trial: HuntTrial) -> None:
        """The first run with a seed has ended."""

    def shrinking(self, faults: int, runs: int) -> None:
        """A smaller set of faults is tried; so many runs have been made for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Faults with which the topology fails.

    Attributes:
        seed: that they were drawn from.
        drawn: how many there were.
        entries: the smallest that still fail, as entries of a timeline.
        failed, runs: how often these failed, of how many runs.
        why: the expectation that failed first.
        file: the topology with these faults as its timeline.
        export: a run that failed, to be replayed; None where the user's command failed.
    """

    seed: int
    drawn: int
    entries: tuple[Entry, ...]
    failed: int
    runs: int
    why: str
    file: Path
    export: Path | None


@dataclass(frozen=True, slots=True, kw_only=True)
class HuntOutcome:
    """The outcome of a hunt.

    Attributes:
        found: the faults that fail; None if none did.
        seeds: how many seeds were tried.
        runs: how many runs there are, with those of earlier hunts that this one continues.
        unconfirmed: seeds that failed once, but not often enough when repeated.
        directory: of the runs.
    """

    found: Found | None
    seeds: int
    runs: int
    unconfirmed: tuple[int, ...]
    directory: Path


@dataclass(frozen=True, kw_only=True)
class Hunt:
    """Runs of a topology with one seed after the other until it fails, and then the search for the fewest faults.

    What has been run is remembered in `root/hunts/NAME-DIGEST`: the same hunt goes on where an interrupted one stopped.

    Attributes:
        file: of the topology, which has `chaos`, and `expect` unless there is a command.
        root: the directory of all runs.
        runs: how many seeds to try.
        first_seed: the first of them.
        limit_s: no further seed is tried after so many seconds, and the search stops where it is; None is no limit.
        rule: how often faults have to fail.
        command: what is run on this machine while the faults happen, in place of the workloads; empty for these.
        lab: the name of its labs; by default that of the hunt.
        runtime, engine: as for `Lab.up`.
        output: the topology to write.
        observer: receives the progress.
    """

    file: Path
    root: Path
    runs: int
    first_seed: int = 1
    limit_s: float | None = None
    rule: FailureRule
    command: tuple[str, ...] = ()
    lab: str | None = None
    runtime: str | None = None
    engine: str | None = None
    output: Path
    observer: HuntObserver

    def carry_out(self) -> HuntOutcome:
        """Make the runs that are missing, and write the topology with the faults that fail.

        Raises:
            UsageError: the file is wrong, or has nothing that could fail; `fails-without-faults`.
            LabError: three runs in a row could not be made.
        """
        hunted = topology.load(self.file)
        self._require(hunted)
        what = json.dumps([dumped(_data(hunted)), self.runtime, self.engine, self.command])
        identifier = f"{hunted.name}-{hashlib.sha256(what.encode()).hexdigest()[:8]}"
        with state.locked(identifier, "hunting"):
            make_directory(self.root / HUNTS / identifier)
            trials = Trials(
                topology=hunted,
                directory=self.root / HUNTS / identifier,
                name=self.lab or identifier,
                runtime=self.runtime,
                engine=self.engine,
                command=self.command,
                observer=self.observer,
            )
            self._require_good(trials)
            return self._through_seeds(trials, math.inf if self.limit_s is None else time.monotonic() + self.limit_s)

    def _require(self, hunted: Topology) -> None:
        if hunted.chaos is None:
            raise UsageError("no-chaos", f"{self.file} has no chaos: nothing to draw", "add chaos: {every: 3s}")
        if not hunted.expect and not self.command:
            hint = "add expect:, or give --command"
            raise UsageError("nothing-to-fail", f"{self.file} expects nothing, so that no run can fail", hint)

    def _require_good(self, trials: Trials) -> None:
        """Require that the topology does not fail without faults."""
        [first] = trials.of(self.first_seed, (), 1)
        if first.failed and trials.fails(self.first_seed, (), self.rule):
            hint = "fix that first, or expect less"
            raise UsageError("fails-without-faults", f"{self.file} fails without any fault: {first.why}", hint)

    def _through_seeds(self, trials: Trials, over: float) -> HuntOutcome:
        """Try seeds until one fails often enough, or it is over (a time of the monotonic clock, s)."""
        found, seeds, unconfirmed = None, 0, []
        while found is None and seeds < self.runs and time.monotonic() < over:
            seed = self.first_seed + seeds
            seeds += 1
            entries = chaos_drawing.drawn(trials.topology, seed)
            self.observer.drew(seed, len(entries), seeds, self.runs)
            [first] = trials.of(seed, entries, 1)
            self.observer.tried(seed, first)
            if first.failed and trials.fails(seed, entries, self.rule):
                found = self._smallest(trials, seed, entries, over)
            elif first.failed:
                unconfirmed.append(seed)
        return HuntOutcome(
            found=found, seeds=seeds, runs=trials.count, unconfirmed=(*unconfirmed,), directory=trials.directory
        )

    def _smallest(self, trials: Trials, seed: int, entries: Sequence[Entry], over: float) -> Found:
        begun = trials.count

        def fails(some: Sequence[Entry]) -> bool:
            if time.monotonic() > over:
                return False
            self.observer.shrinking(len(some), trials.count - begun)
            return trials.fails(seed, some, self.rule)

        fewest = shrinking.shrink(entries, fails)
        outcomes = trials.of(seed, fewest, self.rule.most)
        failed = [trial for trial in outcomes if trial.failed]
        why = failed[0].why if failed else ""
        count = f"{len(failed)} of {len(outcomes)}"
        _log.info("%d of %d faults are left; with them %s runs fail", len(fewest), len(entries), count)
        write_whole(self.output, self._text(trials.topology, seed, fewest, f"{count} runs failed: {why}"))
        run = next((run for trial in failed if (run := trials.run_of(trial))), None)
        return Found(
            seed=seed,
            drawn=len(entries),
            entries=fewest,
            failed=len(failed),
            runs=len(outcomes),
            why=why,
            file=self.output,
            export=archive.export(run, self.output.with_suffix(".zip")) if run else None,
        )

    def _text(self, hunted: Topology, seed: int, entries: Sequence[Entry], said: str) -> str:
        """Return the topology with these faults as its timeline."""
        elsewhere = hunted.directory.resolve() != self.output.parent.resolve()
        data = {name: value for name, value in _data(hunted).items() if name not in ("chaos", "seed")}
        lines = [
            f"# Found by testbed hunt from seed {seed}: with these faults, {said}",
            f"# Files that it names are relative to {hunted.directory}." if elsewhere else "",
            *dumped(data),
            f"seed: {seed}",
            "timeline:" if entries else "timeline: []",
            *(f"  - {line}" for entry in entries for line in dumped(entry, flow=True)),
        ]
        return "\n".join(filter(None, lines)) + "\n"


def _data(hunted: Topology) -> dict[str, object]:
    data: Any = hunted.document.data
    return dict(data)
