"""The table of docs/robustness.md: what was tried, what survived it, and what was left behind."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime
from itertools import takewhile

from tests.conftest import ROOT

FILE = ROOT / "docs" / "robustness.md"
SCALE = float(os.environ.get("SOAK_SCALE") or 1)

_HEAD = "| what | tried | survived | left behind | date | load |\n|---|---|---|---|---|---|\n"


def count(whole):
    """How many trials to make, of those that the whole takes: `make soak scale=0.05` makes a twentieth of them."""
    return max(1, round(whole * SCALE))


def keep(what, *, tried, failed, left):
    """Write a row into the table, in place of the one that was there."""
    date = f"{datetime.now(UTC):%Y-%m-%d} | {os.getloadavg()[0]:.1f}"
    row = f"| {what} | {tried:,} | {tried - failed:,} | {left} | {date} |\n"
    text = with_row(FILE.read_text("utf-8"), what, row, tried=tried, is_good=not (failed or left))
    FILE.write_text(text, "utf-8")


def with_row(text, what, row, *, tried, is_good):
    """The text with a row. One of more trials stays, unless something has failed since."""
    before, head, rest = text.partition(_HEAD)
    assert head, f"{FILE} has no table"
    rows = "".join(takewhile(lambda line: line.startswith("|"), rest.splitlines(keepends=True)))
    pattern = rf"(?m)^\| {re.escape(what)} \| ([\d,]+) \| ([\d,]+) \| (\d+) \|.*\n"
    if found := re.search(pattern, rows):
        known, survived, left = (int(number.replace(",", "")) for number in found.groups())
        if is_good and known > tried and (survived, left) == (known, 0):
            return text
        return before + head + rows.replace(found[0], row) + rest[len(rows) :]
    return before + head + rows + row + rest[len(rows) :]
