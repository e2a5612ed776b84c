"""Validation of arguments of the Python API: a wrong type or value raises a `UsageError` that says what to give."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from pathlib import Path

from testbed.errors import UsageError

_CODE = "bad-argument"


def path(value: object, name: str) -> Path:
    """Return an argument (text or any path-like object) as a path.

    Raises:
        UsageError: `bad-argument`: it is not a path.
    """
    try:
        given = Path(value)  # type: ignore[arg-type]  # any object
    except TypeError:
        given = None
    if given is None or "\0" in str(given):
        raise _wrong(value, name, "a path", "give it as text or as a Path")
    return given


def one_of(value: str | None, name: str, allowed: Collection[str]) -> str | None:
    """Return an argument that must be one of the allowed words, or None.

    Raises:
        UsageError: `bad-argument`: it is another value.
    """
    if value is not None and value not in list(allowed):
        raise _wrong(value, name, "one of its values", f"its values are: {', '.join(allowed)}")
    return value


def texts(value: Iterable[str], name: str) -> tuple[str, ...]:
    """Return an argument (a text or several) as a tuple of texts.

    Raises:
        UsageError: `bad-argument`: it contains something else than texts.
    """
    held = (value,) if isinstance(value, str) else tuple(value) if isinstance(value, Iterable) else (value,)
    if not all(isinstance(text, str) for text in held):
        raise _wrong(value, name, "a list of names", f'write it like {name}=["a", "b"]')
    return held


def whole(value: int, name: str, *, least: int, most: int) -> int:
    """Return an argument that must be a whole number from `least` to `most`.

    Raises:
        UsageError: `bad-argument`: it is not such a number.
    """
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise _wrong(
            value, name, f"a whole number from {least} to {most}", "write it without quotes and without a unit"
        )
    return value


def seconds(value: float | None, name: str) -> float | None:
    """Return an argument that must be a time in seconds, more than 0, or None.

    Raises:
        UsageError: `bad-argument`: it is not a time.
    """
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if value is not None and not (is_number and math.isfinite(value) and value > 0):
        raise _wrong(value, name, "a number of seconds above 0", f"write it like {name}=2.5")
    return value


def octets(value: bytes | str, name: str) -> bytes:
    """Return an argument as bytes; text is encoded as UTF-8.

    Raises:
        UsageError: `bad-argument`: it is neither bytes nor text.
    """
    if isinstance(value, str):
        return value.encode()
    if not isinstance(value, bytes | bytearray | memoryview):
        raise _wrong(value, name, "bytes or text", f'write it like {name}=b"..."')
    return bytes(value)


def _wrong(value: object, name: str, expected: str, hint: str) -> UsageError:
    return UsageError(_CODE, f"{name} is {repr(value)[:80]}, which is not {expected}", hint)
