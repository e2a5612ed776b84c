"""Gradual changes: impairments part of the way from those at the start to those at the end."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any

from testbed.impairments.losses import Blackhole, IndependentLoss

if TYPE_CHECKING:
    from fractions import Fraction

    from testbed.impairments.link import Impairments

PARTS: dict[str, str] = {
    "delay": "delay_ns",
    "jitter": "jitter",
    "loss": "loss",
    "corrupt": "corruption",
    "duplicate": "duplicate",
    "reorder": "reorder",
    "policer": "policer",
    "rate": "bottleneck",
    "queue": "bottleneck",
}
"""The keys of a link that can change gradually, each with the part of `Impairments` that it decides."""


class NoMiddleError(ValueError):
    """Two values that have nothing between them, such as a loss in bursts and one without."""


def between(key: str, first: Impairments, last: Impairments, share: Fraction) -> dict[str, Any]:
    """Return the part of `Impairments` that a key decides, a share of the way from the first to the last.

    Args:
        key: one of `PARTS`.
        first: the impairments at the beginning.
        last: those at the end.
        share: from 0 to 1.

    Raises:
        NoMiddleError: something other than numbers is different.
    """
    part = PARTS[key]
    if share == 1:
        return {part: getattr(last, part)}
    begin, end = (_visible(getattr(each, part)) for each in (first, last))
    if part == "bottleneck" and None in (begin, end):
        raise NoMiddleError(key)
    return {part: _middle(key, begin, end, share)}


def _visible(part: Any) -> Any:  # noqa: ANN401  # any part of impairments
    return part.hidden if isinstance(part, Blackhole) else part


def _middle(key: str, first: Any, last: Any, share: Fraction) -> Any:  # noqa: ANN401  # any part of impairments
    """Return the value between two of the same form; None is the other one with an amount of 0."""
    if first == last:
        return last
    if isinstance(first, int) and isinstance(last, int) and not isinstance(first, bool):
        return first + round((last - first) * share)
    if first is None or last is None:
        amount = _amount(key, last if first is None else first)
        grown = amount * (share if first is None else 1 - share)
        return _with_amount(key, last if first is None else first, round(grown))
    if type(first) is not type(last):
        raise NoMiddleError(key)
    names = [field.name for field in fields(last)] if is_dataclass(last) else list(last.__struct_fields__)
    middle = {name: _middle(key, getattr(first, name), getattr(last, name), share) for name in names}
    return type(last)(**middle)


def _amount(key: str, part: Any) -> int:  # noqa: ANN401  # as above
    match key:
        case "jitter":
            return int(part.ns)
        case "loss" if isinstance(part, IndependentLoss):
            return part.probability
        case "duplicate":
            return int(part.probability)
        case "corrupt" | "reorder":
            return int(part.event.probability)
        case _:
            raise NoMiddleError(key)


def _with_amount(key: str, part: Any, amount: int) -> Any:  # noqa: ANN401  # as above
    if not amount:
        return None
    match key:
        case "jitter":
            return replace(part, ns=amount)
        case "loss":
            return IndependentLoss(probability=amount)
        case "duplicate":
            return replace(part, probability=amount)
        case _:
            return replace(part, event=replace(part.event, probability=amount))
