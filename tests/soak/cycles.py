"""Labs up and down again and again, and many at once; only `make soak` runs it, by this file's name."""

from __future__ import annotations

import secrets
import subprocess
from pathlib import Path

import pytest

from tests.live import kills
from tests.live.command_line import WAIT_S, begin, nothing_remains, run
from tests.live.test_faults import runtime  # noqa: F401  # the fixture
from tests.soak import figures

pytestmark = pytest.mark.live

CYCLES = {"netns": figures.count(200), "docker": figures.count(30)}
WARM = 5
"""Cycles until this machine and the Docker Engine have all that they keep."""

AT_ONCE = 8


def _here(token):
    """How many things of these labs there are on this machine, by kind."""
    processes = files = 0
    for process in Path("/proc").glob("[0-9]*"):
        try:
            processes += f"test-{token}" in (process / "cmdline").read_text(errors="replace")
            files += sum(token in str(each.readlink()) for each in (process / "fd").iterdir())
        except OSError:
            continue
    places = ("/run/testbed/*", "/run/netns", "/sys/fs/cgroup", "/sys/fs/cgroup/*")
    found = [each for place in places for each in Path("/").glob(f"{place[1:]}/*{token}*")]
    return {"processes": processes, "files open": files, "files": len(found)}


def _dockerd():
    """How many files the Docker Engine has open; 0 where it is not on this machine."""
    pids = subprocess.run(["pidof", "dockerd"], capture_output=True, text=True, check=False).stdout.split()
    return sum(len([*Path(f"/proc/{pid}/fd").iterdir()]) for pid in pids)


def test_nothing_grows_with_up_and_down(runtime, tmp_path):  # noqa: F811  # the fixture
    token = secrets.token_hex(5)
    file = tmp_path / "cycle.yml"
    file.write_text(kills.TOPOLOGY)
    failed, left, before = [], [], 0
    for number in range(CYCLES[runtime]):
        lab = f"test-{token}-{number}"
        up = run("up", str(file), "--name", lab, "--runtime", runtime, lab=lab, timeout=WAIT_S)
        down = run("down", lab, lab=lab, timeout=WAIT_S)
        failed += [each.stderr for each in (up, down) if each.returncode]
        left += [] if nothing_remains(lab) else [lab]
        if number == min(WARM, CYCLES[runtime] - 1):
            before = _dockerd()
    grown = _dockerd() - before if runtime == "docker" else 0
    left += [f"{count} {what}" for what, count in _here(token).items() if count]
    left += [f"the Docker Engine has {grown} more files open"] * (grown > CYCLES[runtime])
    figures.keep(f"up and down, {runtime}", tried=CYCLES[runtime], failed=len(failed), left=len(left))
    assert (failed, left) == ([], [])


def test_labs_of_several_processes_at_once(runtime, tmp_path):  # noqa: F811  # the fixture
    file = tmp_path / "many.yml"
    file.write_text(kills.TOPOLOGY)
    labs = [f"test-{secrets.token_hex(5)}" for _ in range(AT_ONCE)]
    options = ["--runtime", runtime, "--results", str(tmp_path), "--no-check"]
    begun = [begin("run", str(file), "--name", lab, *options, lab=lab) for lab in labs]
    done = [(process.communicate(timeout=2 * WAIT_S)[1], process.returncode) for process in begun]
    failed = [errors for errors, status in done if status or b"Traceback" in errors]
    left = [lab for lab in labs if not nothing_remains(lab)]
    figures.keep(f"labs of {AT_ONCE} processes at once, {runtime}", tried=AT_ONCE, failed=len(failed), left=len(left))
    assert (failed, left) == ([], [])
