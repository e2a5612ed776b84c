"""Small drawings, to the last character. Where a change is intended: `python -m tests.golden.test_drawings`."""

from pathlib import Path

import pytest

from testbed.drawing import FORMATS, draw
from tests.golden.test_golden import planned

HERE = Path(__file__).parent / "drawings"
DRAWN = ("lossy", "two-networks", "star", "ten-hops", "dumbbell", "regions")
SUFFIXES = {"text": "txt", "svg": "svg", "mermaid": "mmd", "dot": "dot"}


@pytest.mark.parametrize("form", [*FORMATS])
@pytest.mark.parametrize("name", DRAWN)
def test_drawing(name, form):
    assert draw(planned(name), form) == (HERE / f"{name}.{SUFFIXES[form]}").read_text()


if __name__ == "__main__":
    for each in DRAWN:
        for kind, suffix in SUFFIXES.items():
            (HERE / f"{each}.{suffix}").write_text(draw(planned(each), kind))
