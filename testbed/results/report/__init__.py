"""report.html: a run to look at. One file that needs nothing else: no network, no script; light, dark and on paper."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed.results.files import write_whole
from testbed.results.report.page import page
from testbed.results.report.samples import Recorded, read_all

if TYPE_CHECKING:
    from pathlib import Path

    from testbed.results.run import Run

__all__ = ["REPORT_FILE", "Recorded", "read_all", "write"]

REPORT_FILE = "report.html"


def write(run: Run, recorded: Recorded | None = None) -> Path:
    """Write the report of a run into its directory, over the one that is there.

    Args:
        run: what to report.
        recorded: its samples, where they have been read already (`read_all`).

    Returns:
        Its path.

    Raises:
        UsageError: `not-written`.
    """
    path = run.path / REPORT_FILE
    write_whole(path, page(run, recorded or read_all(run)))
    return path
