"""report.html: a run to look at. One file that needs nothing else: no network, no script; light, dark and on paper."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed.results.report.page import page

if TYPE_CHECKING:
    from pathlib import Path

    from testbed.results.run import Run

REPORT_FILE = "report.html"


def write(run: Run) -> Path:
    """Write the report of a run into its directory, over the one that is there.

    Returns:
        Its path.
    """
    path = run.path / REPORT_FILE
    temporary = path.with_suffix(".new")
    temporary.write_text(page(run), encoding="utf-8")
    temporary.replace(path)
    return path
