"""The table of docs/robustness.md: what was tried, and what was left behind."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime

from tests.conftest import ROOT

FILE = ROOT / "docs" / "robustness.md"

_HEAD = """# Robustness

`make soak` does to the testbed what must not hurt it, at seeded random moments, and keeps its figures here. *Left
behind* counts trials after which anything of a lab was found once `testbed down` had run twice: containers, networks,
processes, devices, files. *Failed* counts those with a traceback, a hang, or exit status 0 where it was wrong.

| what | tried | failed | left behind | date | load |
|---|---|---|---|---|---|
"""


def keep(what, *, tried, failed, left):
    """Write a row, in place of the one that was there."""
    row = f"| {what} | {tried:,} | {failed} | {left} | {datetime.now(UTC):%Y-%m-%d} | {os.getloadavg()[0]:.1f} |\n"
    text = FILE.read_text("utf-8") if FILE.exists() else _HEAD
    text, found = re.subn(rf"(?m)^\| {re.escape(what)} \|.*\n", lambda _: row, text)
    FILE.write_text(text if found else text + row, "utf-8")
