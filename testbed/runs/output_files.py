"""Files that are whole or not there, and what is said where they can't be."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from testbed.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def reporting_write_errors(path: Path) -> Iterator[None]:
    """Have the kernel's refusals to write there end as errors that a person can act on.

    Raises:
        UsageError: `not-written`.
    """
    try:
        yield
    except OSError as error:
        raise UsageError(
            "not-written", f"{path}: {error.strerror}", "make room, or have it written elsewhere"
        ) from error


def require_writable(directory: Path) -> None:
    """Refuse a directory in which nothing can be written, before any work is done for it.

    It need not exist, as long as it can be made.

    Raises:
        UsageError: `not-writable`.
    """
    hint = "name another directory with --results"
    present = next(path for path in (directory.absolute(), *directory.absolute().parents) if path.exists())
    if not present.is_dir():
        raise UsageError("not-writable", f"results can't be written to {directory}: {present} is a file", hint)
    if not os.access(present, os.W_OK | os.X_OK):
        raise UsageError("not-writable", f"results can't be written to {directory}: {present} is not writable", hint)


def make_directory(path: Path) -> None:
    """Make a directory and those that it is in, as far as they are not there.

    Raises:
        UsageError: `not-written`.
    """
    with reporting_write_errors(path):
        path.mkdir(parents=True, exist_ok=True)


def write_whole(path: Path, text: str) -> None:
    """Write a file over the one that is there; whoever reads it meanwhile gets one of both, whole.

    Raises:
        UsageError: `not-written`.
    """
    temporary = path.with_suffix(".new")
    with reporting_write_errors(path):
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
