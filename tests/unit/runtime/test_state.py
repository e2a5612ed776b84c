"""Locks of labs."""

import signal
import subprocess
import sys
import threading
import time

import pytest

from testbed.errors import LabError, UsageError
from testbed.runtime import state


@pytest.fixture(autouse=True)
def root(monkeypatch, tmp_path):
    monkeypatch.setattr(state, "root", lambda: tmp_path)
    return tmp_path


def test_one_command_at_a_time_and_nothing_of_the_lab_is_left(root):
    with state.locked("a"):
        with pytest.raises(LabError, match="lab-busy"), state.locked("a"):
            pass
        with state.locked("b"):
            pass
    assert not list(root.iterdir())
    with state.locked("a"):
        pass


def test_one_lab_can_be_measured_while_another_is_brought_up():
    with state.locked("a"), state.locked("a", "measuring in it"):
        with pytest.raises(LabError, match="lab-busy"), state.locked("a"):
            pass
        with pytest.raises(LabError, match="lab-busy"), state.locked("a", "measuring in it"):
            pass


KILLED = """
import os, pathlib, sys
from testbed.runtime import state
state.root = lambda: pathlib.Path(sys.argv[1])
with state.locked("a"):
    os.kill(os.getpid(), 9)
"""


def test_the_lock_of_a_killed_command_is_gone(root):
    assert subprocess.run([sys.executable, "-c", KILLED, root], check=False).returncode == -signal.SIGKILL
    assert list(root.iterdir())
    with state.locked("b"):
        assert len(list(root.iterdir())) == 1
    assert not list(root.iterdir())


@pytest.mark.parametrize("lab", ["../elsewhere", "..", "/etc", "", "a/b", "a\n"])
def test_a_name_never_leads_out_of_the_directory(root, lab):
    (root.parent / "elsewhere").mkdir(exist_ok=True)
    with pytest.raises(UsageError, match="bad-name"):
        state.LabDirectory("netns", lab)
    with pytest.raises(UsageError, match="bad-name"), state.locked(lab):
        pass
    assert not list(root.iterdir())


def test_only_one_holder_has_a_lock_at_a_time():
    inside = most = turns = 0

    def take_turns():
        nonlocal inside, most, turns
        while turns < 300:
            try:
                with state.locked("a"):
                    inside += 1
                    most = max(most, inside)
                    turns += 1
                    time.sleep(0)  # let others try
                    inside -= 1
            except LabError:
                continue

    threads = [threading.Thread(target=take_turns) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1
