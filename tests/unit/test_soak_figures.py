"""The table of docs/robustness.md, which `make soak` keeps."""

import pytest

from tests.soak import figures

HEAD = "| what | tried | survived | left behind | date | load |\n|---|---|---|---|---|---|\n"
ONE = "| one | 1,000 | 1,000 | 0 | 2026-01-01 | 1.0 |\n"
TWO = "| two | 20 | 19 | 0 | 2026-01-01 | 1.0 |\n"
TEXT = f"Before.\n\n{HEAD}{ONE}{TWO}\n## After\n\n| a | table |\n|---|---|\n"


@pytest.mark.parametrize(
    ("what", "tried", "is_good", "rows"),
    [
        ("three", 5, True, f"{ONE}{TWO}new\n"),
        ("one", 1000, True, f"new\n{TWO}"),
        ("one", 50, True, f"{ONE}{TWO}"),  # of fewer trials
        ("one", 50, False, f"new\n{TWO}"),
        ("two", 5, True, f"{ONE}new\n"),  # of fewer trials, but the row says that one failed
    ],
)
def test_a_row_has_its_place_in_the_table(what, tried, is_good, rows):
    text = figures.with_row(TEXT, what, "new\n", tried=tried, is_good=is_good)
    assert text == TEXT.replace(f"{ONE}{TWO}", rows)


def test_the_document_has_the_table():
    assert HEAD in figures.FILE.read_text("utf-8")
