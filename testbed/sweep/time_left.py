"""How long the rest of a sweep will take."""

from __future__ import annotations

from datetime import datetime
from statistics import fmean
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from testbed.runs import Run
    from testbed.sweep.matrix import Trial

_AROUND_S = 1.5
"""Typical time to bring a lab up and down, which the record of a run does not include."""


def left_s(todo: Iterable[Trial], runs: Mapping[tuple[str, int], Run]) -> float | None:
    """Estimate how long the remaining runs will take, s, from runs of the same cells, or else from all runs."""
    lengths: dict[str, list[float]] = {}
    for (lab, _), run in runs.items():
        if run.ended is not None:
            span = datetime.fromisoformat(run.ended) - datetime.fromisoformat(run.started)
            lengths.setdefault(lab, []).append(span.total_seconds() + _AROUND_S)
    if not lengths:
        return None
    mean = fmean(length for of_cell in lengths.values() for length in of_cell)
    return sum(fmean(lengths.get(trial.cell.lab, [mean])) for trial in todo)
