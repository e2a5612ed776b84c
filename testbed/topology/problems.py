"""The problems of a topology file, reported all at once with their places."""

from __future__ import annotations

import difflib
import json
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from testbed.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

SHOWN = 60
"""Characters of a value that a message shows."""

LISTED = 100
"""Names that a hint looks at."""


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One fault.

    Attributes:
        file: as the user named it.
        line, column: of the value at fault, from 1; of something that is missing, those of the mapping that lacks it;
            0 where there is no text, but a topology that was built in Python.
        code: kebab-case name of the kind of fault.
        message: the path, and what was found there.
        hint: what to write instead; empty where nothing can be said.
    """

    file: str
    line: int
    column: int
    code: str
    message: str
    hint: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        text = f"{place}: {self.code}: {self.message}"
        return f"{text}\n  hint: {self.hint}" if self.hint else text


class TopologyError(UsageError):
    """The error of an invalid topology file, with all of its problems.

    Attributes:
        problems: all that is wrong with it, in the order of the file; at least one.
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(set(problems)))
        first = self.problems[0]
        count = "1 problem" if len(self.problems) == 1 else f"{len(self.problems)} problems"
        super().__init__("invalid-topology", f"{count} in {first.file}", first.hint or None)

    def __str__(self) -> str:
        return "\n".join(map(str, self.problems))


def quote(value: object) -> str:
    """Return `value` as messages show it: text in double quotes, on one line, shortened if it is long."""
    text = json.dumps(value, ensure_ascii=not str(value).isprintable(), default=str)
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 3]}..."


def nearest(found: str, allowed: Iterable[str], what: str) -> str:
    """Return a hint that suggests the allowed value closest to `found`, or else lists what is allowed.

    Args:
        found: what the file says.
        allowed: what it may say.
        what: plural noun for `allowed`, such as `nodes`.
    """
    names = list(islice(allowed, LISTED))
    close = difflib.get_close_matches(found[:SHOWN], names, n=1)
    close = close or [name for name in names if name.startswith(f"{found}_")]
    question = f"did you mean {quote(close[0])}? " if close else ""
    listing = ", ".join(names[: LISTED - 1] + ["..."] * (len(names) == LISTED)) if names else "none"
    return f"{question}{what} are: {listing}"
