"""Small drawings, to the last character. Where a change is intended: `python -m tests.golden.test_drawings`."""

from pathlib import Path

import pytest

from testbed.drawing import FORMATS, draw
from tests.golden.test_golden import planned

HERE = Path(__file__).parent / "drawings"
DRAWN = ("lossy", "two-networks", "star", "ten-hops", "dumbbell", "regions")
SUFFIXES = {"text": "txt", "svg": "svg", "mermaid": "mmd", "dot": "dot", "json": "json"}

CASES = [(name, form) for name in DRAWN for form in FORMATS if (name, form) != ("regions", "json")]  # which is long


@pytest.mark.parametrize(("name", "form"), CASES)
def test_drawing(name, form):
    assert draw(planned(name), form) == (HERE / f"{name}.{SUFFIXES[form]}").read_text()


if __name__ == "__main__":
    for each, kind in CASES:
        (HERE / f"{each}.{SUFFIXES[kind]}").write_text(draw(planned(each), kind))
