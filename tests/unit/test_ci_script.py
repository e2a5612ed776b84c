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

TWO = 2
PATIENCE_S = 60


@pytest.fixture
def script(tmp_path):
    """The script, when its tests go on, two at once; and where they are written down."""
    programs, started = tmp_path / "programs", tmp_path / "started"
    programs.mkdir()
    started.mkdir()
    for name in ("dpkg-query", "docker", "docker-compose", "apt-get"):
        (programs / name).write_text(QUIET)
    (programs / "make").write_text(MAKE)
    for program in programs.iterdir():
        program.chmod(0o755)
    environment = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}", "STARTED": str(started)}
    # bash can't trap what whoever runs the tests ignores, as nohup does.
    command = ["env", "--default-signal=HUP,TERM", "bash", str(ROOT / ".ci" / "run")]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
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
