"""Writing of output files, whole or not at all, with errors that say what to do."""

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
    """Turn an OSError while writing to `path` into a UsageError.

    Raises:
        UsageError: `not-written`.
    """
    try:
        yield
    except OSError as error:
        raise UsageError(
            "not-written", f"{path}: {error.strerror}", "free some space, or choose another directory"
        ) from error


def require_writable(directory: Path) -> None:
    """Refuse a directory that can't be written to, before any work is done.

    The directory need not exist if it can be created.

    Raises:
        UsageError: `not-writable`.
    """
    hint = "choose another directory with --results"
    try:
        present = next(path for path in (directory.absolute(), *directory.absolute().parents) if path.exists())
    except FileNotFoundError:  # the working directory is gone
        raise
    except OSError as error:
        said = f"results can't be written to {directory}: {error.strerror}"
        raise UsageError("not-writable", said, hint) from None
    if not present.is_dir():
        raise UsageError("not-writable", f"results can't be written to {directory}: {present} is a file", hint)
    if not os.access(present, os.W_OK | os.X_OK):
        raise UsageError("not-writable", f"results can't be written to {directory}: {present} is not writable", hint)


def make_directory(path: Path) -> None:
    """Create a directory and its parents, unless they exist; only their owner may enter them, whatever the umask is.

    Raises:
        UsageError: `not-written`.
    """
    with reporting_write_errors(path):
        for each in reversed([path, *path.parents]):
            if not each.exists():
                each.mkdir(mode=0o700, exist_ok=True)


def write_whole(path: Path, text: str) -> None:
    """Write a file atomically: a reader sees either the previous content or the new one.

    Raises:
        UsageError: `not-written`.
    """
    temporary = path.with_suffix(".new")
    with reporting_write_errors(path):
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
