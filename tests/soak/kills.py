"""kill -9, SIGINT and SIGTERM at seeded moments; only `make soak` runs it, by this file's name."""

from __future__ import annotations

import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.live import kills
from tests.live.test_faults import runtime  # noqa: F401  # the fixture
from tests.soak import figures

pytestmark = pytest.mark.live

TRIALS = {"netns": figures.count(200), "docker": figures.count(40)}
AT_ONCE = 3

SIGNALS = {
    "kill -9 of a command, agent, worker, endpoint or container": (signal.SIGKILL,),
    "SIGINT or SIGTERM to a command": (signal.SIGINT, signal.SIGTERM),
}


@pytest.mark.parametrize("what", SIGNALS)
def test_nothing_remains_after_a_signal_and_down(runtime, tmp_path, what):  # noqa: F811  # the fixture
    with ThreadPoolExecutor(AT_ONCE) as pool:
        seeds = range(TRIALS[runtime])
        done = list(pool.map(lambda seed: kills.trial(seed, runtime, tmp_path, SIGNALS[what]), seeds))
    trials = [each for each in done if not each.void]
    failed, left = [each for each in trials if each.failed], [each for each in trials if each.left]
    figures.keep(f"{what}, {runtime}", tried=len(trials), failed=len(failed), left=len(left))
    assert (failed, left) == ([], [])
