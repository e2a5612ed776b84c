"""The command line as a person uses it, in processes of its own.

Every process that comes of a command inherits a variable that names the lab, so that those that outlive it are found
whatever they are.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from tests.conftest import ROOT, remains

COMMAND = [sys.executable, "-m", "testbed"]
MARK = "TESTBED_LAB_OF_TEST"
PATIENCE_S = 60
WAIT_S = 5 * PATIENCE_S
"""How long a whole command may take."""


def run(*argv, lab="", env=None, **options):
    """Run a command to its end."""
    environment = {**os.environ, MARK: lab, **(env or {})}
    settings = {"capture_output": True, "text": True, "timeout": WAIT_S, **options}
    return subprocess.run([*COMMAND, *argv], cwd=ROOT, env=environment, check=False, **settings)


def begin(*argv, lab):
    """Start a command."""
    pipe = subprocess.PIPE
    return subprocess.Popen([*COMMAND, *argv], cwd=ROOT, env={**os.environ, MARK: lab}, stdout=pipe, stderr=pipe)


def processes(lab):
    """All processes that come of commands about a lab."""
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdecimal():
            try:
                if f"{MARK}={lab}".encode() in (process / "environ").read_bytes().split(b"\0"):
                    found.append(int(process.name))
            except OSError:
                continue
    return found


def running(program, pids=None):
    """Those processes whose command line has the program as a word."""
    found = []
    everybody = (int(each.name) for each in Path("/proc").iterdir() if each.name.isdecimal())
    for pid in everybody if pids is None else pids:
        try:
            if program.encode() in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"):
                found.append(pid)
        except OSError:
            continue
    return found


def eventually(condition, within_s=PATIENCE_S):
    """Whether a condition comes true while we have patience."""
    deadline = time.monotonic() + within_s
    while not (met := condition()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return met


def nothing_remains(lab):
    """Whether nothing is left of a lab, of which the last processes may be on their way out."""
    eventually(lambda: not processes(lab))
    return remains(lab) + [f"process {pid}" for pid in processes(lab)] == []


def nothing_remains_on(machines, lab):
    """Whether nothing is left of a lab on machines. A Swarm removes networks from those that don't manage it later."""
    return eventually(lambda: not any(each.remains(lab) for each in machines))


def down_twice(lab):
    """Take a lab down twice, as a person does who is not sure."""
    for _ in range(2):
        done = run("down", lab)
        assert (done.returncode, done.stderr) == (0, "")
    assert "was not up" in done.stdout


def up_of(path, lab, runtime):
    """The command that brings a topology up, impaired by the userspace engine."""
    return ["up", path, "--name", lab, "--runtime", runtime, "--engine", "userspace"]
