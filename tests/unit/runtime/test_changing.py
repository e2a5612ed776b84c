"""What a command is doing to a lab, told to others."""

from __future__ import annotations

import os
import re

from testbed.runtime import state


def test_the_command_that_changes_a_lab_is_known_while_it_runs(lab_name):
    assert state.changing(lab_name) == ""
    with state.locked(lab_name, state="coming up"):
        assert re.fullmatch(rf"coming up \(pid {os.getpid()}, since \d\d:\d\d:\d\d\)", state.changing(lab_name))
    assert state.changing(lab_name) == ""


def test_the_lock_of_a_killed_command_is_ignored(lab_name):
    ended = os.posix_spawn("/bin/true", ["true"], {})
    os.waitpid(ended, 0)
    path = state.root() / f"{lab_name}.bringing.lock"
    try:
        path.write_text(f"{ended} coming up")
        assert state.changing(lab_name) == ""
    finally:
        path.unlink()
