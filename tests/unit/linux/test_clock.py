"""Clocks of their own for programs: real programs preload the library, and the file moves their clock."""

import os
import subprocess
import sys
import time

import pytest

from testbed.errors import MachineError
from testbed.linux import clock

WAITS = """
import threading, time
before = time.monotonic()
time.sleep(0.1)
threading.Event().wait(0.1)
waited = time.monotonic() - before
while True:  # until both are read without a pause
    monotonic, wall = time.monotonic(), time.time()
    if time.monotonic() < monotonic + 0.01:
        break
print(wall - monotonic, waited)
"""


def program(environment):
    """The real time of a program, less the monotonic one, and how long it waited, s."""
    done = subprocess.run([sys.executable, "-c", WAITS], env=environment, capture_output=True, text=True, check=True)
    return map(float, done.stdout.split())


def ahead_s(tmp_path, offset_ns, drift_ppb=0, *, since_s=0.0):
    """How far the clock of a program is ahead, s; it waits as long as without."""
    library, shift = tmp_path / "clock.so", tmp_path / "shift"
    library.write_bytes(clock.library())
    shift.write_bytes(clock.UNSHIFTED)
    clock.shift(shift, offset_ns, drift_ppb)
    time.sleep(since_s)
    shifted, waited = program(clock.variables(str(library), str(shift), dict(os.environ)))
    unshifted, _ = program(dict(os.environ))
    assert waited >= 0.2
    return shifted - unshifted


@pytest.mark.parametrize("offset_ns", [0, 3_600_500_000_000, -5_000_000_001])
def test_a_clock_is_off_by_what_the_file_says_and_waits_are_as_long_as_ever(tmp_path, offset_ns):
    assert ahead_s(tmp_path, offset_ns) == pytest.approx(offset_ns / 1e9, abs=0.4)


def test_a_clock_drifts(tmp_path):
    assert ahead_s(tmp_path, 0, 500_000_000, since_s=0.5) >= 0.2


def test_what_a_program_preloads_itself_comes_after():
    variables = clock.variables("/c.so", "/shift", {"LD_PRELOAD": "/own.so", "A": "b"})
    assert variables == {"LD_PRELOAD": "/c.so:/own.so", "A": "b", clock.VARIABLE: "/shift"}


def test_a_c_library_that_is_too_old_or_for_another_processor_is_refused():
    mine = clock.library()
    assert clock.misfit(mine) == ""
    assert "has a glibc without GLIBC_2." in clock.misfit(mine[:20])
    assert "another processor" in clock.misfit(b"\0" * 20)


def test_a_machine_without_a_compiler_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    clock.library.cache_clear()
    with pytest.raises(MachineError, match="no-compiler") as refused:
        clock.library()
    assert "gcc" in str(refused.value.hint)
