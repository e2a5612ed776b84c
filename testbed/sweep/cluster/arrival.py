"""Puts runs that workers send where they would be if they had been made here."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from testbed import runs
from testbed.errors import LabError
from testbed.runs import archive
from testbed.runs.output_files import make_directory
from testbed.runs.writing import point_latest

if TYPE_CHECKING:
    from pathlib import Path

    from testbed.plan import Plan
    from testbed.runs import Run

_ARRIVING = ".arriving"


def arriving(directory: Path) -> Path:
    """Return an empty directory for what arrives in that of a sweep."""
    remove(directory)
    make_directory(directory / _ARRIVING)
    return directory / _ARRIVING


def remove(directory: Path) -> None:
    """Remove what has arrived but has not taken its place."""
    shutil.rmtree(directory / _ARRIVING, ignore_errors=True)


def place(file: Path, directory: Path, plan: Plan) -> Run:
    """Unpack an archive of a run, and move the run to where it belongs.

    Args:
        file: the archive, in the directory for what arrives.
        directory: of the sweep.
        plan: what was to be run.

    Raises:
        LabError: `wrong-run`: it is a run of something else.
        UsageError: what came is no run; it can't be written.
        MachineError: the disk has too little space.
    """
    run = runs.load(archive.unpack_into(file, file.parent))
    if (run.plan.lab, run.plan.seed, run.plan.digest) != (plan.lab, plan.seed, plan.digest):
        found = f"lab {run.plan.lab}, seed {run.plan.seed}, plan {run.plan.digest[:12]}"
        wanted = f"{plan.lab}, {plan.seed}, {plan.digest[:12]}"
        raise LabError("wrong-run", f"the worker sent another run: {found}, not {wanted}")
    path = directory / run.plan.lab / run.path.name
    make_directory(path.parent)
    run.path.rename(path)
    if run.is_whole:
        point_latest(directory, path)
    return runs.load(path)
