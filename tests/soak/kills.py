"""kill -9 at seeded moments; only `make soak` runs it, by this file's name."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.live import kills
from tests.live.test_faults import runtime  # noqa: F401  # the fixture
from tests.soak import figures

pytestmark = pytest.mark.live

TRIALS = {"netns": 200, "docker": 40}


def test_nothing_remains_after_kill_and_down(runtime, tmp_path):  # noqa: F811  # the fixture
    with ThreadPoolExecutor(3) as pool:
        seeds = range(TRIALS[runtime])
        done = list(pool.map(lambda seed: kills.trial(seed, runtime, tmp_path), seeds))
    trials = [each for each in done if not each.void]
    failed, left = [each for each in trials if each.failed], [each for each in trials if each.left]
    name = f"kill -9 of a command, agent, worker, endpoint or container, {runtime}"
    figures.keep(name, tried=len(trials), failed=len(failed), left=len(left))
    assert (failed, left) == ([], [])
