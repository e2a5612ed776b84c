"""A few kills at seeded moments, of the many that `make soak` makes."""

from __future__ import annotations

import pytest

from tests.live import kills

pytestmark = [pytest.mark.live, pytest.mark.netns]


@pytest.mark.parametrize("seed", [2, 3, 7])
def test_nothing_remains_after_kill_and_down(tmp_path, seed):
    done = kills.trial(seed, "netns", tmp_path)
    if done.void:
        pytest.skip(f"no trial: {done.void}")
    assert (done.failed, done.left) == ("", ""), done.what
