"""Conversion of quantities in text (`40ms`, `20mbit`, `64KB`, `2%`) to the integers used everywhere else, and back.

Arithmetic is exact. What the integer cannot hold (a tenth of a nanosecond) is an error, not rounded; only probabilities
are rounded, to the nearest 1/2^32. Formatting is exact too: parsing its text gives the same integer again.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from fractions import Fraction
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

CERTAIN = 1 << 32
"""The probability 1 in the unit of every probability here, 1/2^32 (netem's own, so that both engines draw alike)."""

LARGEST = (1 << 63) - 1
"""The largest quantity: what a signed 64-bit integer, such as the kernel's time, holds."""

_NUMBER = r"[0-9]{1,18}(?:\.[0-9]{1,18})?"
_ZERO = r"0(?:\.0{1,18})?"


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantity:
    """A kind of quantity and how it is written: a number and a unit, `0` without one.

    Attributes:
        noun: what it is, with its article: `a duration`.
        units: name to what it is worth in the integer's unit, smallest first. Decimal, so that output is exact.
        input_units: names that are read but never written.
        suffix: may follow the unit, and does in output: `/s`.
        ignore_case: whether `Mbit` is `mbit`; not where a letter's case means something (b and B).
        examples: what is right; the first one is for messages.
    """

    noun: str
    units: Mapping[str, int]
    input_units: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    suffix: str = ""
    ignore_case: bool = False
    examples: tuple[str, ...]

    @property
    def pattern(self) -> str:
        """A regular expression for the whole text, valid in ECMAScript too (JSON Schema wants that)."""
        names = sorted({*self.units, *self.input_units}, key=lambda name: (-len(name), name))
        units = "|".join("".join(f"[{c}{c.upper()}]" for c in name) if self.ignore_case else name for name in names)
        suffix = f"(?:{re.escape(self.suffix)})?" if self.suffix else ""
        return rf"^(?:{_ZERO}|({_NUMBER}) ?({units}){suffix})$"

    def parse(self, text: str) -> int:
        """Parse `text` to an integer; ValueError, with a valid example, if it is not such a quantity."""
        number, unit = _split(self, text)
        if unit is None:
            return 0
        value = number * {**self.units, **self.input_units}[unit.lower() if self.ignore_case else unit]
        if value > LARGEST:
            raise ValueError(f'"{text}" is more than {self.format(LARGEST)}, the most there can be')
        if value.denominator != 1:
            raise ValueError(f'"{text}" is finer than {self.format(1)}, the smallest step there is')
        return int(value)

    def format(self, value: int) -> str:
        """Return `value`, which is not negative, exactly, in the largest unit that it fills."""
        fitting = [name for name, worth in self.units.items() if worth <= value] or list(self.units)[:1]
        return f"{_decimal(Fraction(value, self.units[fitting[-1]]))} {fitting[-1]}{self.suffix}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Probability:
    """Probabilities, in 1/2^32, written in percent."""

    noun: str = "a probability"
    examples: tuple[str, ...] = ("2%", "0.5%", "100%")

    @property
    def pattern(self) -> str:
        """A regular expression for the whole text, valid in ECMAScript too."""
        return rf"^(?:{_ZERO}|({_NUMBER}) ?(%))$"

    def parse(self, text: str) -> int:
        """Parse a probability to the nearest multiple of 1/2^32; ValueError if it is invalid or would be lost."""
        number, unit = _split(self, text)
        if unit is None:
            return 0
        if number > 100:  # noqa: PLR2004
            raise ValueError(f'"{text}" is more than 100 %, which is always')
        value = round(number * CERTAIN / 100)
        if number and not value:
            raise ValueError(f'"{text}" is less than {self.format(1)}, the least there can be')
        return value

    def format(self, value: int) -> str:
        """Return the shortest percentage that parses to `value`."""
        percent = Fraction(value * 100, CERTAIN)
        digits = 0
        while round(round(percent, digits) * CERTAIN / 100) != value:
            digits += 1
        return f"{_decimal(round(percent, digits))} %"


def _split(quantity: Quantity | Probability, text: str) -> tuple[Fraction, str | None]:
    """Return the number and the unit in `text`; only zero has no unit."""
    match = re.fullmatch(quantity.pattern, text)
    if match is None:
        fault = "has no unit" if re.fullmatch(_NUMBER, text) else f"is not {quantity.noun}"
        raise ValueError(f'"{text}" {fault}; write {quantity.noun} like {quantity.examples[0]}{_units(quantity, text)}')
    return (Fraction(0), None) if match[2] is None else (Fraction(match[1]), match[2])


def _units(quantity: Quantity | Probability, text: str) -> str:
    """Return the units that there are, for a text with a number and something else."""
    if isinstance(quantity, Probability) or not re.match(rf"{_NUMBER} ?[a-zA-Z]", text):
        return ""
    return f"; units are {', '.join([*quantity.units, *quantity.input_units])}"


def _decimal(value: Fraction) -> str:
    """Return `value`, whose denominator divides a power of ten, in decimal notation."""
    digits = 0
    while (value * 10**digits).denominator != 1:
        digits += 1
    scaled = str(int(value * 10**digits)).rjust(digits + 1, "0")
    return f"{scaled[:-digits]}.{scaled[-digits:]}" if digits else scaled


DURATION = Quantity(
    noun="a duration",
    units=MappingProxyType({"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9}),
    input_units=MappingProxyType({"min": 60 * 10**9}),
    examples=("40ms", "1.5s", "200us", "2min"),
)
"""Durations, in nanoseconds."""

RATE = Quantity(
    noun="a rate",
    units=MappingProxyType({"bit": 1, "kbit": 10**3, "mbit": 10**6, "gbit": 10**9}),
    suffix="/s",
    ignore_case=True,
    examples=("20mbit", "64kbit", "1gbit"),
)
"""Rates, in bit/s."""

SIZE = Quantity(
    noun="a size",
    units=MappingProxyType({"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9}),
    input_units=MappingProxyType({"kB": 10**3, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}),
    examples=("64KB", "200B", "256MB", "1MiB"),
)
"""Sizes, in bytes: KB is 1000 of them, KiB 1024."""

PROBABILITY = Probability()


def parse_cpus(text: str) -> int:
    """Parse a number of CPU cores (`0.5`) to thousandths of a core; ValueError if it is invalid."""
    if re.fullmatch(_NUMBER, text) is None:
        raise ValueError(f'"{text}" is not a number of CPU cores; write one like 0.5')
    value = Fraction(text) * 1000
    if value.denominator != 1:
        raise ValueError(f'"{text}" is finer than 0.001, the smallest step there is')
    return int(value)


_MOST_CPUS = 1 << 13
"""That Linux can be built for (CONFIG_NR_CPUS on x86)."""


def parse_cpu_set(text: str) -> tuple[int, ...]:
    """Parse numbers of CPUs (`0-1,3`, the kernel's format of lists), in ascending order; ValueError if invalid."""
    found = set[int]()
    for part in text.split(","):
        match = re.fullmatch(r"([0-9]{1,4})(?:-([0-9]{1,4}))?", part.strip())
        if match is None:
            raise ValueError("which is not a list of CPUs")
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first:
            raise ValueError(f"and {first} is more than {last}")
        found.update(range(first, last + 1))
    if max(found) >= _MOST_CPUS:
        raise ValueError(f"and the last CPU that a machine may have is {_MOST_CPUS - 1}")
    return tuple(sorted(found))


def format_cpu_set(cpus: Iterable[int]) -> str:
    """Return numbers of CPUs, in ascending order, as the kernel writes them: `0-1,3`."""
    ranges: list[list[int]] = []
    for cpu in cpus:
        if ranges and cpu == ranges[-1][-1] + 1:
            ranges[-1][1:] = [cpu]
        else:
            ranges.append([cpu])
    return ",".join("-".join(map(str, ends)) for ends in ranges)
