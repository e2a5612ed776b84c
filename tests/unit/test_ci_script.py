"""The script of CI, with stand-ins for the programs that it calls."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.conftest import ROOT

QUIET = "#!/bin/sh\necho installed\n"
MAKE = """#!/bin/sh
[ "$1" = test ] || exit 0
trap 'echo interrupted >> "$STARTED/$$"; exit 2' INT
echo $$ > "$STARTED/$$"
while :; do sleep 0.1; done
"""
"""Tests that only SIGINT ends."""

FAILING_MAKE = """#!/bin/sh
[ "$1" = test ] || exit 0
case "$2" in
    *--last-failed*) echo again >> "$STARTED/again"; exit "$AGAIN" ;;
    *cache/first*) ;;
    *) exit 0 ;;
esac
cache=$(echo "$2" | sed 's/.*cache_dir=//; s/ .*//')
mkdir -p "$cache/v/cache"
seq "$FAILED" | sed 's,.*,  "tests/live/test_a.py::test_&": true,' > "$cache/v/cache/lastfailed"
exit 2
"""
"""Tests of which some of one group fail."""

TWO = 2
PATIENCE_S = 60


COMMAND = ("env", "--default-signal=HUP,TERM", "bash", str(ROOT / ".ci" / "run"))
"""With the default signals: bash can't trap those that its parent ignores, as nohup does."""


def environment(directory, make):
    """The variables of the script, with stand-ins for its programs in a directory, and one for make."""
    programs, started = directory / "programs", directory / "started"
    programs.mkdir()
    started.mkdir()
    for name in ("dpkg-query", "docker", "docker-compose", "apt-get"):
        (programs / name).write_text(QUIET)
    (programs / "make").write_text(make)
    for program in programs.iterdir():
        program.chmod(0o755)
    return {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}", "STARTED": str(started)}


@pytest.fixture
def script(tmp_path):
    """The script, when its tests go on, two at once; and where they are written down."""
    started = tmp_path / "started"
    process = subprocess.Popen(COMMAND, env=environment(tmp_path, MAKE), stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + PATIENCE_S
    while len([*started.iterdir()]) < TWO:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    yield process, started
    process.kill()
    process.wait()
    for each in started.iterdir():
        if Path(f"/proc/{each.name}").exists():
            os.kill(int(each.name), signal.SIGKILL)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_tests_end_with_the_script_that_is_interrupted(script, number):
    process, started = script
    process.send_signal(number)
    assert process.wait(PATIENCE_S)
    found = {path.name: path.read_text().split() for path in started.iterdir()}
    assert {words[1] for words in found.values() if len(words) == TWO} == {"interrupted"}
    assert [pid for pid in found if Path(f"/proc/{pid}").exists()] == []
    assert len(found) == TWO


@pytest.mark.parametrize(
    ("failing", "again", "status", "tries"),
    [("0", "0", 1, 0), ("1", "0", 0, 1), ("10", "2", 1, 1), ("11", "0", 1, 0)],
    ids=["no-test", "passes-alone", "fails-alone", "too-many"],
)
def test_a_few_tests_that_failed_are_tried_again_alone(tmp_path, failing, again, status, tries):
    variables = {**environment(tmp_path, FAILING_MAKE), "FAILED": failing, "AGAIN": again}
    done = subprocess.run(COMMAND, env=variables, check=False, capture_output=True, text=True)
    assert done.returncode == status, done.stderr
    assert len([*(tmp_path / "started").iterdir()]) == tries
    assert ("passed alone: mend what" in done.stdout) == (status == 0)
