"""The check of a link that is as requested, while parts of the testbed get no processor for a while, again and again.

SIGSTOP stands in for a machine that is too busy. A verdict against the link would be wrong, whatever the machine does.
"""

from __future__ import annotations

import os
import signal
import threading
from contextlib import contextmanager

import pytest

from testbed.lab import Lab
from testbed.topology import loads
from tests.live.command_line import MARK, processes, running

pytestmark = [pytest.mark.live, pytest.mark.netns]

TOPOLOGY = """
name: late
nodes: {a: , b: }
links: [{from: a, to: b, delay: 20ms, jitter: 10ms, loss: 5%}]
"""


@contextmanager
def stuttering(pids, pause_s, run_s):
    """Stop processes and let them continue, in turns, during the context."""
    done = threading.Event()

    def stutter():
        while not done.is_set():
            for number, lasts_s in ((signal.SIGSTOP, pause_s), (signal.SIGCONT, run_s)):
                for pid in pids:
                    os.kill(pid, number)
                done.wait(lasts_s)
        for pid in pids:
            os.kill(pid, signal.SIGCONT)

    thread = threading.Thread(target=stutter)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def test_a_late_engine_is_no_fault_of_the_link(lab_name, monkeypatch):
    monkeypatch.setenv(MARK, lab_name)
    topology = loads(TOPOLOGY, "late.yml")
    with Lab.up(topology, name=lab_name, runtime="netns", engine="userspace") as lab:
        carrying = running("testbed.engines.userspace.worker", processes(lab_name))
        with stuttering(carrying, 0.04, 0.01):
            (found,) = lab.check(budget_s=60)
            assert found.passed, found
            assert any("this machine was too busy" in each for each in found.reservations), found.reservations
