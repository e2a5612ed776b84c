"""Runs that are disturbed from outside say so, end, and leave nothing behind."""

from __future__ import annotations

import os

import pytest

from testbed.errors import UsageError
from tests.live import disturbances

pytestmark = [pytest.mark.live, pytest.mark.netns]

LASTS_S = 3
"""Long enough for a slow machine to disturb it meanwhile."""

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small file system")


def test_results_that_vanish_are_an_error_of_use(tmp_path, lab_name):
    status, _, errors = disturbances.results_vanish(tmp_path, lab_name, LASTS_S)
    assert (status, "not-written" in errors) == (UsageError.exit_code, True), errors


@as_root
@pytest.mark.parametrize(
    ("disturbed", "code"), [(disturbances.full, "not-written"), (disturbances.read_only, "not-writable")]
)
def test_results_that_can_not_be_written_are_an_error_of_use(tmp_path, lab_name, disturbed, code):
    status, _, errors = disturbed(tmp_path, lab_name, LASTS_S)
    assert (status, code in errors) == (UsageError.exit_code, True), errors


def test_a_run_whose_agent_was_stopped_for_a_while_is_late(tmp_path, lab_name):
    status, output, errors = disturbances.agent_stopped(tmp_path, lab_name, LASTS_S, 2)
    assert status == 0, errors
    assert "late: this machine was too busy" in output, output
