"""Ascending times, millions of them, in little memory."""

from __future__ import annotations

import sys
import zlib
from array import array
from base64 import b64decode, b64encode
from functools import reduce
from itertools import accumulate, chain, islice, repeat
from math import gcd
from operator import floordiv, gt, mul, sub
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

from testbed.codec import OwnForm

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

LISTED_MOST: Final = 10_000
"""The most times whose JSON form is a list of numbers, which people can read; more of them are packed."""

_CODES: Final = {code: (1 << 8 * array(code).itemsize) - 1 for code in "BHIQ"}
"""The greatest step of each size of integers."""

_UNPACKED_MOST: Final = 1 << 31
"""The most bytes of unpacked steps: a text from elsewhere may not fill the memory."""


class Times(OwnForm):
    """Ascending times, ns, in 8 bytes each.

    The JSON form of more than `LISTED_MOST` is a text, `UNIT CODE DATA`: the steps from each time to the next, the
    first from 0, in multiples of UNIT ns, as little-endian integers of the size that CODE has for `array`, by zlib and
    base64.

    Args:
        times_ns: ascending from 0.

    Raises:
        ValueError: they are not.
    """

    JSON_SCHEMA: ClassVar[Mapping[str, Any]] = MappingProxyType(
        {"anyOf": [{"type": "array", "items": {"type": "integer"}}, {"type": "string"}]}
    )

    __slots__ = ("_hash", "_times_ns")

    def __init__(self, times_ns: Iterable[int]) -> None:
        self._times_ns = times_ns if isinstance(times_ns, array) else array("q", times_ns)
        self._hash: int | None = None
        if self._times_ns and self._times_ns[0] < 0:
            raise ValueError("times before 0")
        if any(map(gt, self._times_ns, islice(self._times_ns, 1, None))):
            raise ValueError("times that do not ascend")

    def __len__(self) -> int:
        return len(self._times_ns)

    def __iter__(self) -> Iterator[int]:
        return iter(self._times_ns)

    def __getitem__(self, place: int) -> int:
        return self._times_ns[place]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Times) and self._times_ns == other._times_ns

    def __hash__(self) -> int:
        if self._hash is None:
            self._hash = hash(self._times_ns.tobytes())
        return self._hash

    def __repr__(self) -> str:
        return f"Times([{', '.join(map(str, islice(self, 5)))}{', ...' if len(self) > 5 else ''}])"  # noqa: PLR2004

    def steps(self) -> Iterator[int]:
        """Yield the time from each to the next, the first from 0."""
        return chain(self._times_ns[:1], map(sub, islice(self._times_ns, 1, None), self._times_ns))

    def json_parts(self) -> Iterator[str]:
        """Yield parts of the text that `json.dumps` makes of a list of the times."""
        yield "["
        for start in range(0, len(self), LISTED_MOST):
            yield (", " if start else "") + ", ".join(map(str, self._times_ns[start : start + LISTED_MOST]))
        yield "]"

    def to_json(self) -> list[int] | str:
        """Return the JSON form."""
        if len(self) <= LISTED_MOST:
            return self._times_ns.tolist()
        unit = reduce(gcd, self._times_ns) or 1
        steps = array("q", map(floordiv, self.steps(), repeat(unit)))
        code = next(code for code, most in _CODES.items() if max(steps) <= most)
        packed = zlib.compress(_little_endian(array(code, steps)).tobytes())
        return f"{unit} {code} {b64encode(packed).decode()}"

    @classmethod
    def from_json(cls, data: object) -> Self:
        """Return the times of a JSON form.

        Raises:
            ValueError: it is none.
        """
        if isinstance(data, list) and all(type(time) is int for time in data):
            try:
                return cls(data)
            except OverflowError:
                raise ValueError("times that do not fit into 64 bits") from None
        match data.split(" ") if isinstance(data, str) else []:
            case [unit, code, text] if unit.isdecimal() and code in _CODES:
                return cls._unpacked(int(unit), code, text)
        raise ValueError("expected a list of times or packed ones")

    @classmethod
    def _unpacked(cls, unit: int, code: str, text: str) -> Self:
        try:
            unpacked = zlib.decompressobj().decompress(b64decode(text, validate=True), _UNPACKED_MOST)
            steps = array(code, unpacked)
            return cls(array("q", accumulate(map(mul, _little_endian(steps), repeat(unit)))))
        except (ValueError, OverflowError, zlib.error) as error:
            raise ValueError(f"packed times that can't be read: {error}") from None


def _little_endian(numbers: array[int]) -> array[int]:
    """Return numbers with their bytes in the other order if this machine's is not little-endian."""
    if sys.byteorder != "little":
        numbers.byteswap()
    return numbers
