"""The whole grid of `tests/live/grid.py`; it takes half an hour, so only `make soak` runs it, by this file's name."""

from __future__ import annotations

import pytest

from tests.live import grid
from tests.live.test_grid import RUNTIMES

pytestmark = pytest.mark.live


@pytest.mark.parametrize("loss", grid.LOSSES)
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_every_kind_over_every_link(lab_name, runtime, loss):
    assert grid.run([cell for cell in grid.whole(runtime) if cell.loss == loss], lab_name) == []
