"""Records of the commands that a run's timeline started in nodes."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from testbed import units

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandRecord:
    """A command that an event has started. Times but `at_ns` are of the clock of the samples, ns.

    Attributes:
        at_ns: the time in the plan, from the start of the first workload.
        node: where it ran.
        argv: the program and its arguments.
        may_fail: as in the plan.
        due_ns: the same time by the clock of the samples.
        begun_ns: when it was started.
        done_ns: when it had ended.
        status: its exit status as a shell gives it; None if it was killed at the end of the run, or never ran.
        output: the file with what it wrote, in the run's directory.
        error: why it could not be started; empty if it could.
    """

    at_ns: int
    node: str
    argv: tuple[str, ...]
    may_fail: bool
    due_ns: int
    begun_ns: int
    done_ns: int
    status: int | None
    output: str
    error: str = ""


def failed_commands(records: Iterable[CommandRecord]) -> tuple[str, ...]:
    """Return a sentence for each command that failed and may not."""
    return tuple(
        f"{record.node}: {shlex.join(record.argv)}, at {units.DURATION.format(record.at_ns)}, {_how(record)}"
        for record in records
        if record.status != 0 and not record.may_fail
    )


def _how(record: CommandRecord) -> str:
    if record.error:
        return f"could not run: {record.error}"
    if record.status is None:
        return "had not ended when the workloads had"
    return f"ended with status {record.status}; {record.output} has what it wrote"
