"""How a node's clock is wrong, in a topology file: `{offset: -30s, drift: 100ppm}`, or the offset alone."""

import re
from collections.abc import Mapping
from fractions import Fraction
from typing import Annotated, Any

from pydantic import BeforeValidator

from testbed import units
from testbed.topology.base import Model, key
from testbed.topology.problems import quote
from testbed.topology.values import Reader, fault, text_of

_PPM = re.compile(r"([+-]?)([0-9]{1,6}(?:\.[0-9]{1,3})?) ?ppm")
_MOST_PPB = 500_000_000
"""A clock that is half as fast again; hardware is off by 100 ppm at most."""

_MOST_OFFSET_NS = 100 * 365 * 86_400 * 10**9


def _offset(value: object) -> int:
    text = text_of(value, "an offset")
    sign = -1 if text.startswith("-") else 1
    try:
        ns = units.DURATION.parse(text.removeprefix("-").removeprefix("+"))
    except ValueError as error:
        raise fault(f"is wrong: {error}", "write how far it is ahead, such as 30s, or behind: -30s") from None
    if ns > _MOST_OFFSET_NS:
        raise fault(f"is {quote(text)}, which is more than a hundred years", "write it like 30s, or -30s")
    return sign * ns


def _drift(value: object) -> int:
    text = text_of(value, "a drift")
    hint = "write it in millionths: 100ppm, or -100ppm for a clock that is slow"
    if (found := _PPM.fullmatch(text)) is None:
        raise fault(f"is {quote(text)}, which is no drift", hint)
    ppb = int(Fraction(found[2]) * 1000) * (-1 if found[1] == "-" else 1)
    if abs(ppb) > _MOST_PPB:
        raise fault(f"is {quote(text)}, must be at most {_MOST_PPB // 1000} ppm", hint)
    return ppb


_OFFSET: dict[str, Any] = {"type": "string", "examples": ["30s", "-500ms"]}
Offset = Annotated[int, Reader(_offset, _OFFSET)]
Drift = Annotated[int, Reader(_drift, {"type": "string", "examples": ["100ppm"]})]


class Clock(Model):
    """How a clock is wrong."""

    offset_ns: Offset = key("How far it is ahead at once; `-30s` is behind", alias="offset", default=0, written="0s")
    drift_ppb: Drift = key(
        "How much too fast it goes: `100ppm`; negative is slow", alias="drift", default=0, written="0ppm"
    )


ClockValue = Annotated[
    Clock, BeforeValidator(lambda value: value if isinstance(value, Mapping | Clock) else {"offset": value})
]
