"""Runs that lose their place for results, or whose agent is stopped; only `make soak` runs it, by this file's name."""

from __future__ import annotations

import os
import secrets
from random import Random

import pytest

from testbed.errors import UsageError
from tests.live import disturbances
from tests.soak import figures

pytestmark = [
    pytest.mark.live,
    pytest.mark.netns,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small file system"),
]

TRIALS = figures.count(10)
STOPPED_S = 5

WHAT = {
    "results vanish in mid-run": (disturbances.results_vanish, "not-written"),
    "results directory full": (disturbances.full, "not-written"),
    "results directory read-only": (disturbances.read_only, "not-writable"),
}


@pytest.mark.parametrize("what", WHAT)
def test_results_without_a_place(tmp_path, what):
    """That nothing remains, and that there is no traceback, is asserted where the run ends."""
    disturbed, code = WHAT[what]
    random, failed = Random(11), []
    for number in range(TRIALS):
        place = tmp_path / str(number)
        place.mkdir()
        status, _, errors = disturbed(place, f"test-{secrets.token_hex(5)}", random.uniform(0.5, 3))
        failed += [] if status == UsageError.exit_code and code in errors else [errors]
    figures.keep(what, tried=TRIALS, failed=len(failed), left=0)
    assert failed == []


def test_an_agent_that_is_stopped(tmp_path):
    random, failed = Random(11), []
    for number in range(TRIALS):
        place = tmp_path / str(number)
        place.mkdir()
        lab = f"test-{secrets.token_hex(5)}"
        status, output, errors = disturbances.agent_stopped(place, lab, random.uniform(1, 4), STOPPED_S)
        failed += [] if status == 0 and "late: this machine was too busy" in output else [output + errors]
    figures.keep(f"agent stopped for {STOPPED_S} s in mid-run", tried=TRIALS, failed=len(failed), left=0)
    assert failed == []
