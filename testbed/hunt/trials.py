"""Makes the runs of a hunt, each in a lab of its own, and keeps every outcome on disk."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from testbed import interruption, runs, topology
from testbed.errors import LabError
from testbed.lab import Lab, Observer, find, take_down
from testbed.runs.output_files import reporting_write_errors

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from testbed.topology import Topology

_CODES = ("command-failed", "workload-failed", "node-exited")
"""Errors of a run that are failures of what is tested, not of the testbed."""

_TOO_MANY = 3
"""Runs in a row that could not be made, after which the machine is at fault."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureRule:
    """When faults count as failing: in `least` of `most` runs."""

    least: int = 2
    most: int = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class HuntTrial:
    """The outcome of one run.

    Attributes:
        key: digest of the seed and the faults.
        failed: whether an expectation, or the user's command, failed.
        why: the first reason.
        run: the directory of the run, relative to the hunt's; empty where there is none.
    """

    key: str
    failed: bool
    why: str
    run: str


@dataclass(kw_only=True)
class Trials:
    """The runs of one hunt.

    Attributes:
        topology: what is run, with its timeline replaced.
        directory: of the hunt; its runs are in it.
        name: of the labs.
        command: what is run on this machine instead of the workloads while the faults happen; empty for the workloads.
        done: the outcomes so far, by key.
        broken: how many runs in a row could not be made.
    """

    topology: Topology
    directory: Path
    name: str
    runtime: str | None
    engine: str | None
    command: tuple[str, ...]
    observer: Observer
    done: dict[str, list[HuntTrial]] = field(default_factory=dict)
    broken: int = 0

    def __post_init__(self) -> None:
        if self._journal.is_file():
            for line in self._journal.read_text("utf-8").splitlines():
                with suppress(ValueError):  # the last line of a hunt that was killed, or had no more space
                    trial = HuntTrial(**json.loads(line))
                    self.done.setdefault(trial.key, []).append(trial)

    @property
    def _journal(self) -> Path:
        return self.directory / "trials.jsonl"

    @property
    def count(self) -> int:
        """How many runs there are."""
        return sum(map(len, self.done.values()))

    def of(self, seed: int, entries: Sequence[dict[str, Any]], count: int) -> list[HuntTrial]:
        """Return the outcomes of the first `count` runs with these faults; those that are missing are made.

        Raises:
            LabError: three runs in a row could not be made.
            MachineError: this machine lacks something.
        """
        key = hashlib.sha256(json.dumps([seed, list(entries)], sort_keys=True).encode()).hexdigest()[:16]
        known = self.done.setdefault(key, [])
        while len(known) < count:
            if trial := self._made(key, seed, entries):
                known.append(trial)
                with reporting_write_errors(self._journal), self._journal.open("a", encoding="utf-8") as file:
                    file.write(f"{json.dumps(asdict(trial))}\n")
        return known[:count]

    def fails(self, seed: int, entries: Sequence[dict[str, Any]], rule: FailureRule) -> bool:
        """Return whether these faults fail often enough; no more runs are made than that takes."""
        for count in range(1, rule.most + 1):
            trials = self.of(seed, entries, count)
            failed = sum(trial.failed for trial in trials)
            if failed >= rule.least:
                return True
            if count - failed > rule.most - rule.least:
                return False
        return False

    def _made(self, key: str, seed: int, entries: Sequence[dict[str, Any]]) -> HuntTrial | None:
        """Make a run; None if it could not be made."""
        if find(self.name):  # left by a hunt that was killed
            take_down(self.name)
        try:
            failed, why, run = self._run(seed, entries)
        except LabError as error:
            if error.code not in _CODES:
                self.broken += 1
                if self.broken == _TOO_MANY:
                    error.add_note(f"{_TOO_MANY} runs in a row could not be made")
                    raise
                return None
            failed, why, run = True, error.message.splitlines()[0], ""
        self.broken = 0
        return HuntTrial(key=key, failed=failed, why=why, run=run)

    def _run(self, seed: int, entries: Sequence[dict[str, Any]]) -> tuple[bool, str, str]:
        faulty = topology.with_timeline(self.topology, entries)
        with interruption.deferred():
            lab = Lab.up(faulty, name=self.name, runtime=self.runtime, engine=self.engine, seed=seed)
            try:
                with interruption.delivered():
                    return self._commanded(lab, faulty) if self.command else self._expected(lab)
            finally:
                lab.down()

    def _expected(self, lab: Lab) -> tuple[bool, str, str]:
        run = lab.run(self.directory, check=False, observer=self.observer)
        missed = [outcome for outcome in run.outcomes if not outcome.passed and outcome.reason is None]
        return bool(missed), missed[0].expectation if missed else "", str(run.path.relative_to(self.directory))

    def _commanded(self, lab: Lab, faulty: Topology) -> tuple[bool, str, str]:
        """Run the user's command on this machine while the faults happen; its status decides.

        What interrupts the faults, or a fault that can't be carried out, ends the command too.
        """
        environment = os.environ | {"TESTBED_LAB": lab.name}
        quiet = subprocess.DEVNULL  # in a process group of its own it can't read from the terminal
        with subprocess.Popen(self.command, env=environment, stdin=quiet, process_group=0) as command:
            try:
                lab.play(faulty)
                status = command.wait()
            except BaseException:
                with suppress(ProcessLookupError):
                    os.killpg(command.pid, signal.SIGKILL)  # with what it has started
                raise
        return status != 0, f"{self.command[0]} ended with status {status}", ""

    def run_of(self, trial: HuntTrial) -> runs.Run | None:
        """Return the run of an outcome, if there is one."""
        return runs.load(self.directory / trial.run) if trial.run else None
