"""`python -m testbed.sweep.cluster.trial DIRECTORY`: makes one run of a sweep on a worker.

A process of its own, so that it can be interrupted, and takes its lab down whatever becomes of the worker: it ends when
its standard input does, which the worker holds open.

DIRECTORY/request.json    the plan
          files.zip       the files that nodes use, see `testbed.sweep.cluster.files`
          outcome.json    what came of it, see `Outcome`
          run.zip         the run, whole or not, as `testbed export` makes it
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from testbed import codec, runs
from testbed.errors import LabError, MachineError, TestbedError, UsageError
from testbed.lab.observer import SILENT
from testbed.plan import Plan
from testbed.runs import archive
from testbed.runtime import state
from testbed.sweep.cluster import files
from testbed.sweep.making import make_run

if TYPE_CHECKING:
    from collections.abc import Mapping

REQUEST, FILES, OUTCOME, RUN = "request.json", "files.zip", "outcome.json", "run.zip"
"""The names of the files."""

_POLL_S = 0.2
_KINDS: dict[str, type[TestbedError]] = {kind.__name__: kind for kind in (LabError, MachineError, UsageError)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """An error of a run, as it is sent to the machine of the sweep.

    Attributes:
        kind: the name of its class.
        notes: what was noted about it.
        path: the keys that lead to what it is about in the topology.
    """

    kind: str
    code: str
    message: str
    hint: str | None
    notes: tuple[str, ...] = ()
    path: tuple[str, ...] = ()

    @classmethod
    def of(cls, error: TestbedError) -> Failure:
        """Return an error in the form in which it is sent."""
        kind = next((name for name, each in _KINDS.items() if isinstance(error, each)), LabError.__name__)
        notes = tuple(getattr(error, "__notes__", ()))
        return cls(kind=kind, code=error.code, message=error.message, hint=error.hint, notes=notes, path=error.path)

    def error(self) -> TestbedError:
        """Return the error."""
        error = _KINDS.get(self.kind, LabError)(self.code, self.message, self.hint, path=self.path)
        for note in self.notes:
            error.add_note(note)
        return error


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The outcome of a trial.

    Attributes:
        failure: None if the run is whole.
        recorded: whether there is an archive of a run, perhaps of one that failed.
    """

    failure: Failure | None
    recorded: bool


def make(directory: Path) -> None:
    """Make the run that is requested in a directory, and leave its outcome there."""
    plan = _plan(json.loads((directory / REQUEST).read_text("utf-8")), directory)
    failure = None
    try:
        with ExitStack() as stack:
            _wait_for_others(stack)
            path = make_run(plan, directory / "runs", SILENT, lab=plan.lab).path
    except TestbedError as error:
        failure = Failure.of(error)
        path = next((directory / "runs").glob(f"{plan.lab}/*"), directory)
    recorded = path != directory
    if recorded:
        archive.export(runs.load(path), directory / RUN)
    outcome = Outcome(failure=failure, recorded=recorded)
    (directory / OUTCOME).write_text(json.dumps(codec.encode(outcome)), encoding="utf-8")


def _plan(data: Mapping[str, Any], directory: Path) -> Plan:
    beside = directory / "files"
    beside.mkdir()
    if (directory / FILES).exists():
        files.unpack(directory / FILES, beside)
    return replace(Plan.from_json(data), directory=str(beside))


def _wait_for_others(stack: ExitStack) -> None:
    """Wait until no other worker of this machine makes a run, and keep others waiting until the stack is closed."""
    while True:
        try:
            stack.enter_context(state.locked("worker", "making a run of a sweep"))
        except LabError as error:
            if error.code != "lab-busy":
                raise
            time.sleep(_POLL_S)
        else:
            return


def _end_with_the_worker() -> None:
    """Interrupt this process when the worker is gone, or has closed the standard input."""
    while os.read(sys.stdin.fileno(), 1):
        pass
    os.kill(os.getpid(), signal.SIGINT)


def main(directory: Path) -> None:
    """Make a run, or leave nothing behind if interrupted."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)  # what a shell starts in the background ignores SIGINT
    threading.Thread(target=_end_with_the_worker, daemon=True).start()
    try:
        make(directory)
    except KeyboardInterrupt:
        shutil.rmtree(directory, ignore_errors=True)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main(Path(sys.argv[1]))
