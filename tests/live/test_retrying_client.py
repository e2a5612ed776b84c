"""examples/retrying-client: its own tests are green, one on a bad network shows the bug, and with the fix all pass."""

import re
import shutil
import subprocess
import sys

import pytest

from tests.conftest import ROOT

pytestmark = [pytest.mark.live, pytest.mark.netns]

EXAMPLE = ROOT / "examples" / "retrying-client"
ATTEMPTS = 3
"""A machine that is late by a second cuts the link when all orders are placed, and the bug does not show."""

LOST_ANSWERS = "test_every_order_counts_once_although_answers_are_lost_for_two_seconds"


@pytest.fixture
def project(tmp_path):
    ignored = shutil.ignore_patterns("__pycache__", ".pytest_cache")
    return shutil.copytree(EXAMPLE, tmp_path / "project", ignore=ignored)


def suite(project, *argv):
    command = [sys.executable, "-m", "pytest", "-q", "--testbed-require=netns", *argv]
    return subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)


def test_its_bug_shows_on_a_bad_network_only(project):
    own = suite(project, "tests/test_orders.py")
    assert own.returncode == 0, own.stdout + own.stderr
    for _ in range(ATTEMPTS):
        bad = suite(project, "tests/test_orders_on_a_bad_network.py", "-k", LOST_ANSWERS)
        if bad.returncode:
            break
    assert bad.returncode == 1, bad.stdout + bad.stderr
    assert "assert ['13'] == ['12']" in bad.stdout
    accepted = re.findall(r"^accepted (\S+), key", bad.stdout, re.MULTILINE)
    assert len(accepted) == len({*accepted}) + 1, "the report names the order that counts twice"


def test_it_passes_when_it_is_fixed(project):
    patch = (project / "one-key-per-order.patch").read_text()
    subprocess.run(["patch", "-p1"], cwd=project, input=patch, text=True, check=True, capture_output=True)
    fixed = suite(project)
    assert fixed.returncode == 0, fixed.stdout + fixed.stderr
    assert "5 passed" in fixed.stdout
