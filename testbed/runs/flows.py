"""Flows of one kind that ran together: the sum of their goodputs, and its fairness."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from testbed.statistics import jain

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from testbed.workloads.summary import Summary

_GOODPUT = "goodput_bps"


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowSum:
    """Two or more flows of one kind that ran together.

    Attributes:
        kind: of the workloads.
        workloads: their names.
        goodput_bps: the sum of their goodputs, each over its own duration.
        jain: Jain's fairness index of these goodputs, see `testbed.statistics.jain`; None where nothing was delivered.
    """

    kind: str
    workloads: tuple[str, ...]
    goodput_bps: float
    jain: float | None


def sums(stages: Iterable[Sequence[str]], summaries: Iterable[Summary]) -> tuple[FlowSum, ...]:
    """Return the sums of a run, one per stage and kind of which several flows have a goodput.

    Args:
        stages: the names of the workloads that ran together.
        summaries: of those that ended.
    """
    ran = {summary.workload: summary for summary in summaries}
    return tuple(found for stage in stages for found in _sums([ran[name] for name in stage if name in ran]))


def _sums(together: Sequence[Summary]) -> Iterator[FlowSum]:
    for kind in dict.fromkeys(summary.kind for summary in together):
        shares = {summary.workload: _goodput_bps(summary.values) for summary in together if summary.kind == kind}
        known = [share for share in shares.values() if share is not None]
        if len(known) > 1 and len(known) == len(shares):
            yield FlowSum(kind=kind, workloads=tuple(shares), goodput_bps=sum(known), jain=jain(known))


def _goodput_bps(values: Mapping[str, Any]) -> float | None:
    """Return the goodput of a flow: 0 if it delivered nothing, None if its kind has none or it was not measured."""
    goodput: float | None = values.get(_GOODPUT)
    return 0.0 if goodput is None and values.get("delivered_bytes") == 0 else goodput
