"""Senders that were kept from their times: the run says so, of every kind that has set times."""

from __future__ import annotations

import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import sleep

import pytest

from testbed.lab import Lab, Observer
from testbed.topology import loads
from tests.live.command_line import PATIENCE_S

PAUSE_S = 0.5
TEXT = """
name: late
nodes: {a: , b: }
workloads:
  - together:
      - {name: datagrams, kind: udp-stream, from: a, to: b, rate: 128kbit, size: 160B, duration: 8s}
      - {name: messages, kind: tcp-messages, from: a, to: b, rate: 128kbit, size: 160B, duration: 8s}
      - {name: streams, kind: quic, from: a, to: b, rate: 128kbit, size: 160B, duration: 8s}
      - {name: echoes, kind: ping, from: a, to: b, count: 800, interval: 10ms}
"""

pytestmark = [pytest.mark.live, pytest.mark.netns]


class Sending(Observer):
    """Tells when all of so many workloads have begun to send."""

    def __init__(self, count):
        self.all = threading.Event()
        self._count = count
        self._begun = set()

    def progressed(self, stage, what, fraction, count=""):  # noqa: ARG002  # as the base class
        if stage == "run" and fraction > 0:
            self._begun.add(what)
            if len(self._begun) == self._count:
                self.all.set()


def clients(lab):
    """The processes of a lab's clients."""
    seeds = [f'"seed": {workload.seed},'.encode() for workload in lab.plan.workloads]
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdecimal():
            try:
                line = (process / "cmdline").read_bytes()
            except OSError:
                continue
            if b'"role": "client"' in line and any(seed in line for seed in seeds):
                found.append(int(process.name))
    assert len(found) >= len(seeds)
    return found


def test_a_run_whose_senders_were_stopped_for_a_moment_is_not_trusted(lab_name, tmp_path):
    with Lab.up(loads(TEXT, "late.yml"), name=lab_name, runtime="netns") as lab, ThreadPoolExecutor(1) as pool:
        sending = Sending(len(lab.plan.workloads))
        running = pool.submit(lab.run, tmp_path, observer=sending)
        assert sending.all.wait(PATIENCE_S), running.result()
        stopped = clients(lab)
        for number in (signal.SIGSTOP, signal.SIGCONT):
            for pid in stopped:
                os.kill(pid, number)
            sleep(PAUSE_S)
        run = running.result()
    assert {each.workload for each in run.summaries if (each.number("pacing_late_p99_ns") or 0) > 10**8} == {
        "datagrams",
        "messages",
        "streams",
        "echoes",
    }
    assert not run.trusted
    assert any(reason.startswith("4 workloads: one message in 100 was sent") for reason in run.distrust)
