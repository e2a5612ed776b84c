"""HTML pages of runs, comparisons and sweeps: self-contained files that need neither a network nor scripts.

A page is a template of `templates/` with data that the module of its name prepares: `run`, `comparison`, `sweep`.
Charts are Vega-Lite's (`charts`): drawn when the page is made, so that they are there on paper and without scripts,
and live where scripts run. Making a page imports Jinja2 and vl-convert, which nothing else does.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from testbed import logs
from testbed.analysis.samples import RecordedSamples, read_all
from testbed.report.run_page import run_page
from testbed.runs.output_files import write_whole

if TYPE_CHECKING:
    from pathlib import Path

    from testbed.runs.run import Run

_log = logging.getLogger(__name__)

__all__ = ["REPORT_FILE", "write"]

REPORT_FILE = "report.html"


def write(run: Run, recorded: RecordedSamples | None = None) -> Path:
    """Write the report of a run into its directory, replacing an earlier one.

    Args:
        run: what to report.
        recorded: its samples, where they have been read already (`testbed.analysis.samples.read_all`).

    Returns:
        Its path.

    Raises:
        UsageError: `not-written`.
    """
    path = run.path / REPORT_FILE
    with logs.timed(_log, f"write {path}"):
        write_whole(path, run_page(run, recorded or read_all(run)))
    return path
