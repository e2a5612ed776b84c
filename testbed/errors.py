"""The errors that users see: a code to search for, what happened, and what to do about it.

Every error that leaves the package derives from `TestbedError`; its class decides the exit status of the command.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Iterable


class TestbedError(Exception):
    """Base of all errors that users can act on.

    Attributes:
        code: kebab-case name of the kind of error, stable across versions.
        message: what happened, with the value found.
        hint: what to do about it, or None.
        path: the keys that lead to what it is about in a topology file; empty where it is about none.
        place: where in which file that is, `lab.yml:3:5`; empty where it is not known.
        exit_code: the status with which a command ends on this error.
    """

    __test__ = False  # the name starts like a test class; pytest must not collect it
    exit_code: ClassVar[int] = 4

    def __init__(self, code: str, message: str, hint: str | None = None, *, path: tuple[str, ...] = ()) -> None:
        super().__init__(code, message, hint)
        self.code = code
        self.message = message
        self.hint = hint
        self.path = path
        self.place = ""

    def __str__(self) -> str:
        text = f"{self.place}: " * bool(self.place) + f"{self.code}: {self.message}"
        return f"{text}\n  hint: {self.hint}" if self.hint else text


class UsageError(TestbedError):
    """The file or the command line is wrong (exit status 2)."""

    exit_code = 2


class MachineError(TestbedError):
    """This machine lacks something that is needed; the hint says what to install or enable (exit status 3)."""

    exit_code = 3


class LabError(TestbedError):
    """A lab could not be brought up, used or taken down (exit status 4)."""

    exit_code = 4


def no_such_lab(lab: str) -> UsageError:
    """Return the error that no lab of that name is up."""
    return UsageError(
        "no-such-lab", f"no lab {lab!r} is up", "testbed ps lists the labs; testbed up FILE brings one up"
    )


def unknown_node(node: str, nodes: Iterable[str]) -> UsageError:
    """Return the error that a lab has no node of that name; `nodes` are the names of its nodes."""
    names = list(nodes)
    near = get_close_matches(str(node), names, 1)
    question = f"did you mean {near[0]}? " if near else ""
    return UsageError("unknown-node", f"the lab has no node {node!r}", f"{question}its nodes are: {', '.join(names)}")
