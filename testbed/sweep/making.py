"""One run of a sweep, in a lab of its own."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from testbed import interruption
from testbed import lab as labs
from testbed.lab import Lab, Observer

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from testbed.plan import Plan
    from testbed.runs import Run
    from testbed.sweep.matrix import Matrix, Trial
    from testbed.topology import Topology

_log = logging.getLogger(__name__)

TOO_MANY = 3
"""Consecutive failures after which the machine is at fault, not a cell."""


def runtime_of(trial: Trial, matrix: Matrix, runs: Mapping[tuple[str, int], Run]) -> str:
    """Return the runtime of a run: `auto` chooses one for the first run, and all others use the same.

    A file with hosts leaves no choice.
    """
    runtime = matrix.runtime or trial.cell.topology.runtime
    chooses = runtime == "auto" and not trial.cell.topology.hosts
    return next(iter(runs.values())).runtime if chooses and runs else runtime


def make_run(
    source: Topology | Plan,
    directory: Path,
    observer: Observer,
    *,
    lab: str,
    runtime: str | None = None,
    engine: str | None = None,
    seed: int | None = None,
) -> Run:
    """Bring a lab up, run its workloads and take it down.

    Args:
        source: a topology; or a plan, for which runtime, engine and seed are ignored.
        directory: of the sweep; the run is in `directory/LAB/TIME-ID`.
        observer: receives the progress.
        lab: its name. A lab of that name that is up was left by a sweep that was killed, and is taken down first.
        runtime: instead of the topology's.
        engine: instead of the topology's, on every link.
        seed: instead of the topology's.

    Raises:
        MachineError, LabError: a step failed.
    """
    if labs.find(lab):
        _log.info("lab %s is up, from a sweep that was killed", lab)
        labs.take_down(lab)
    with interruption.deferred():
        made = Lab.up(source, name=lab, runtime=runtime, engine=engine, seed=seed, observer=observer)
        try:
            with interruption.delivered():
                return made.run(directory, observer=observer)
        finally:
            made.down(observer)
