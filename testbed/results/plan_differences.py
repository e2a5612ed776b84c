"""How two plans differ, in words."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from testbed.shape import Shape

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from testbed.plan.model import Plan

_NOT_DECISIVE = ("lab", "description", "runtime", "seed_given", "expectations", "profile", "what", "mac")
_ADDRESSES = ("address", "gateway", "subnet")
"""Most are allocated and mean nothing, so they are left out of what is shown."""

_SEED = "seed"

ABSENT = "absent"
_THERE = "there"


def plan_differences(one: Plan, other: Plan) -> list[tuple[str, str, str]]:
    """Where the plans differ, with what each has there: `("links.a -> b on lan.shape", "loss 1 %", "loss 2 %")`.

    What `Plan.digest` leaves out is left out, and so are addresses. What one of them has not at all is one difference,
    and so is the seed, which all others come from.
    """
    left, right = dict(_flat(one.to_json(), "")), dict(_flat(other.to_json(), ""))
    found: list[tuple[str, str, str]] = []
    lacking: list[str] = []
    for path in dict.fromkeys((*left, *right)):
        exact, shown = zip(left.get(path, (ABSENT, ABSENT)), right.get(path, (ABSENT, ABSENT)), strict=True)
        part_of = any(path.startswith(f"{whole}.") for whole in lacking)
        derived = path.endswith(".seed") and left.get(_SEED) != right.get(_SEED)
        if ABSENT in exact:
            lacking.append(path)
        if exact[0] != exact[1] and not part_of and not derived:
            found.append((path, *(shown if shown[0] != shown[1] else exact)))
    return found


def alike_but_for_seeds(one: Plan, other: Plan) -> bool:
    """Whether runs of the plans are repetitions of one another."""
    return one.digest == other.digest or all(path.endswith("seed") for path, _, _ in plan_differences(one, other))


def _flat(value: Any, path: str) -> Iterator[tuple[str, tuple[str, str]]]:  # noqa: ANN401  # JSON
    """Every leaf: where it is, what it is exactly, and what to show of it."""
    if isinstance(value, dict):
        for key, one in value.items():
            where = f"{path}.{key}" if path else key
            if key == "shape":
                yield where, (json.dumps(one, sort_keys=True), Shape.from_json(one).describe())
            elif key not in (*_NOT_DECISIVE, *_ADDRESSES):
                yield from _flat(one, where)
    elif isinstance(value, list):
        for number, one in enumerate(value):
            where = f"{path}.{_name(one, number)}"
            if isinstance(one, dict):
                yield where, (_THERE, _what(one))
            yield from _flat(one, where)
    else:
        text = json.dumps(value)
        yield path, (text, text)


def _what(item: Mapping[str, Any]) -> str:
    """What to show of an item that the other plan has not."""
    return Shape.from_json(item["shape"]).describe() if "shape" in item else item.get("kind", _THERE)


def _name(value: Mapping[str, Any] | object, number: int) -> str:
    """What tells an item of a list from the others."""
    if isinstance(value, dict) and "source" in value and "shape" in value:
        return f"{value['source']} -> {value['destination']} on {value['network']}"
    return str(value["name"]) if isinstance(value, dict) and "name" in value else str(number + 1)
