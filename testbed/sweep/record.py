"""sweep.json: the outcome of a sweep for other programs. Values are in the units of `testbed.metrics`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

VERSION = 1
"""The version of the form of sweep.json."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """A run of a cell.

    Attributes:
        path: of its directory, from that of the sweep.
        failures: what was not as expected: `voice.loss < 5% is not met` to `6.2 %`, a link to its verdict.
        values: by metric; None if the run does not have it.
    """

    repetition: int
    seed: int
    path: str
    trusted: bool
    as_expected: bool
    failures: Mapping[str, str]
    values: Mapping[str, float | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class EstimateRecord:
    """The mean over the runs of a cell; `interval` is None if there are too few runs."""

    mean: float
    interval: tuple[float, float] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CellRecord:
    """A combination of values, by the paths of their keys, and its estimates by metric; None if no run has one."""

    levels: Mapping[str, str]
    lab: str
    runs: tuple[RunRecord, ...]
    estimates: Mapping[str, EstimateRecord | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class SlopeRecord:
    """The exponent of the power law by which a metric grows along a curve, of each repetition and on average.

    Attributes:
        levels: the values of the other keys.
    """

    metric: str
    levels: Mapping[str, str]
    values: tuple[float, ...]
    mean: float
    interval: tuple[float, float] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepRecord:
    """The whole file.

    Attributes:
        factors: the values of each key that varies.
        metrics: their units.
        confidence: of all intervals.
        missing: number of runs that are missing.
    """

    version: int = VERSION
    name: str
    topology: str
    description: str
    digest: str
    seed: int
    repeat: int
    runtime: str | None
    engine: str | None
    factors: Mapping[str, tuple[str, ...]]
    metrics: Mapping[str, str]
    confidence: float
    missing: int
    cells: tuple[CellRecord, ...]
    slopes: tuple[SlopeRecord, ...]
