"""The matrix of a sweep: every combination of some values of a file, each to be run several times."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from itertools import product
from math import prod
from random import Random
from typing import TYPE_CHECKING

from testbed import topology
from testbed.errors import UsageError
from testbed.lab import resolve
from testbed.seeds import derive
from testbed.topology import TopologyError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from testbed.plan.model import Plan
    from testbed.topology import Factor, Problem, Topology

MOST_CELLS = 1000
_LAB_NAME = 20
"""Characters of the sweep's name in those of its labs, which have 32 at most."""

_DIGITS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One combination of values.

    Attributes:
        number: its place in the matrix, from 1; the last factor changes fastest.
        levels: the value of each factor, by path.
        topology: the file with these values.
        lab: the name of its labs, of which there is one at a time.
    """

    number: int
    levels: Mapping[str, str]
    topology: Topology
    lab: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A run to be made: one cell in one repetition.

    Attributes:
        repetition: from 1.
        seed: of all that is random; the same for all cells of a repetition, so that they can be compared in pairs.
    """

    cell: Cell
    repetition: int
    seed: int

    @property
    def key(self) -> tuple[str, int]:
        """The lab and the seed, which identify its run."""
        return self.cell.lab, self.seed


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """All cells.

    Attributes:
        name: of the sweep: the topology's unless another is given.
        digest: SHA-256 (hex) of what all runs of a sweep have in common. With it a sweep that was interrupted is found
            again, and one of a file or with options that mean something else is another.
        seed: where those of the repetitions derive from.
        runtime, engine: as asked for; None is as the file says.
        factors: the values that are tried, by path.
        plan: of the first cell.
    """

    name: str
    digest: str
    seed: int
    runtime: str | None
    engine: str | None
    factors: Mapping[str, tuple[str, ...]]
    cells: tuple[Cell, ...]
    plan: Plan

    @property
    def identifier(self) -> str:
        """The name of the sweep's directory."""
        return f"{self.name}-{self.digest[:_DIGITS]}"

    def trials(self, repeat: int) -> Iterator[Trial]:
        """All runs, one repetition after the other, so that what drifts with time touches all cells alike.

        Within a repetition the order of the cells is random, another one each time, and always the same for a seed.
        """
        for repetition in range(1, repeat + 1):
            order = list(self.cells)
            Random(derive(self.seed, f"order of repetition {repetition}")).shuffle(order)
            yield from (self.trial(cell, repetition) for cell in order)

    def trial(self, cell: Cell, repetition: int) -> Trial:
        """Return the run of a cell in a repetition, counted from 1."""
        seed = derive(self.seed, f"repetition {repetition}") >> 32  # short enough to be copied by hand
        return Trial(cell=cell, repetition=repetition, seed=seed)


def matrix(
    path: Path,
    varied: Sequence[Factor] = (),
    *,
    name: str | None = None,
    runtime: str | None = None,
    engine: str | None = None,
    seed: int | None = None,
) -> Matrix:
    """Return the matrix of a file, in which every cell is a valid topology.

    Args:
        path: of the file.
        varied: what to vary beside what the file's `sweep` says; of the same path, instead of that.
        name: of the sweep; the topology's unless given.
        runtime: instead of the file's.
        engine: instead of the file's, on every link.
        seed: instead of the file's.

    Raises:
        TopologyError: the file is not valid with one of the values; it tells all that is wrong.
        UsageError: `nothing-to-sweep`, `duplicate-setting`, `too-many-cells`, `no-workloads`, `no-difference`.
    """
    factors = _factors(path, varied)
    combinations = [
        dict(zip(factors, levels, strict=True)) for levels in product(*(factor.levels for factor in factors.values()))
    ]
    topologies: list[Topology] = []
    problems: list[Problem] = []
    for settings in combinations:
        try:
            topologies.append(topology.load(path, settings.values()))
        except TopologyError as error:
            problems += error.problems
    if problems:
        raise TopologyError(problems)
    levels = [{path: setting.text for path, setting in settings.items()} for settings in combinations]
    plans = [resolve(varied_topology, runtime=runtime, engine=engine, seed=seed) for varied_topology in topologies]
    _tell_apart(plans, levels)
    if not plans[0].workloads:
        raise UsageError(
            "no-workloads", f"{path} has no workloads, so that there is nothing to measure", "add workloads"
        )
    digest = _digest(plans, levels)
    name = name or plans[0].topology
    cells = tuple(
        Cell(
            number=number,
            levels=levels[number - 1],
            topology=varied_topology,
            lab=f"{name[:_LAB_NAME]}-{digest[:_DIGITS]}-{number}",
        )
        for number, varied_topology in enumerate(topologies, 1)
    )
    return Matrix(
        name=name,
        digest=digest,
        seed=plans[0].seed,
        runtime=runtime,
        engine=engine,
        factors={factor.path: tuple(level.text for level in factor.levels) for factor in factors.values()},
        cells=cells,
        plan=plans[0],
    )


def _factors(path: Path, varied: Sequence[Factor]) -> dict[str, Factor]:
    """Return the factors by path, those of the file first."""
    factors = {factor.path: factor for factor in topology.factors(path)}
    given = {factor.path: factor for factor in varied}
    if len(given) < len(varied):
        twice = next(
            factor.path
            for number, factor in enumerate(varied)
            if factor.path in [other.path for other in varied[:number]]
        )
        raise UsageError("duplicate-setting", f"--set {twice} is given twice", f"--set {twice}=VALUE,VALUE...")
    factors |= given
    if not factors:
        hint = "testbed sweep NAME --set 'links[0].loss=0%,1%,2%', or a `sweep:` in the file"
        raise UsageError("nothing-to-sweep", f"{path} has no `sweep`, and no --set says what to vary", hint)
    count = prod(len(factor.levels) for factor in factors.values())
    if count > MOST_CELLS:
        raise UsageError("too-many-cells", f"these values make {count} combinations, more than {MOST_CELLS}")
    return factors


def _tell_apart(plans: Sequence[Plan], levels: Sequence[Mapping[str, str]]) -> None:
    """Refuse cells with equal plans: a varied key has no effect, although the sweep would suggest one."""
    seen: dict[tuple[str, str], Mapping[str, str]] = {}
    for each, own in zip(plans, levels, strict=True):
        other = seen.setdefault((each.digest, each.runtime), own)
        if other is not own:
            path = next(path for path in own if own[path] != other[path])
            raise UsageError(
                "no-difference",
                f"{path} makes no difference: the plan is the same with {other[path]} and with {own[path]}",
                "testbed show prints what a file resolves to; a link with `from` overrides one with `between`",
            )


def _digest(plans: Sequence[Plan], levels: Sequence[Mapping[str, str]]) -> str:
    decisive = [[own, each.digest, each.runtime] for own, each in zip(levels, plans, strict=True)]
    return hashlib.sha256(json.dumps(decisive).encode()).hexdigest()
