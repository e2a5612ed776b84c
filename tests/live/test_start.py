"""The start of workloads: one instant for all kinds, as tcpdump sees it too, and the timeline's time zero."""

from __future__ import annotations

import json
import shutil
from contextlib import ExitStack
from statistics import median
from time import monotonic_ns, sleep, time_ns

import pytest

from testbed.lab import Lab
from testbed.topology import loads
from tests.runtimes import RUNTIMES

MS = 1_000_000
ATTEMPTS = 10
"""Until a machine that is busy has found the time to start everything at once."""
CLOCKS_NS = 1 * MS
"""By how much tcpdump's clock, the real time, may have been moved against the monotonic one meanwhile."""
SOON_NS = 20 * MS
"""In which half of the clients send what they begin with; before there was a common start, it took seconds."""

TEXT = """
name: start
nodes: {server: , c1: , c2: , c3: , c4: }
links:
  - {between: [c1, server], delay: 200ms}
  - {between: [c3, server], delay: 100ms}
workloads:
  - together:
      - {name: download, kind: tcp-stream, from: c1, to: server, duration: 2s}
      - {name: voice, kind: udp-stream, from: c2, to: server, rate: 128kbit, size: 160B, duration: 2s}
      - {name: rpc, kind: tcp-rr, from: c3, to: server, count: 2, connect: each}
      - {name: queries, kind: udp-rr, from: c4, to: server, count: 5}
      - {name: messages, kind: quic, from: c2, to: server, rate: 128kbit, size: 160B, duration: 1s}
      - {name: program, kind: command, in: c1, command: [sleep, "0.1"]}
  - {name: later, kind: udp-stream, from: c2, to: server, rate: 128kbit, size: 160B, duration: 500ms}
timeline:
  - {at: 1s, link: {from: c1, to: server}, loss: 1%}
"""

pytestmark = pytest.mark.live


class Watched:
    """The first packet that a workload's client sends, as tcpdump sees it in the client's node."""

    def __init__(self, lab, workload):
        command = ["tcpdump", "-n", "-tt", "--time-stamp-precision=nano", "-l", "--immediate-mode", "-c", "1"]
        found = f"dst host {workload.address} and dst port {workload.port}"
        self.process = lab.agent.spawn(workload.source, [*command, "-i", "eth0", found])
        self._lines = iter(self.process)

    def first_ns(self):
        """When it was sent, by the monotonic clock."""
        seconds, _, nanoseconds = next(self._lines).split()[0].partition(".")
        return int(seconds) * 10**9 + int(nanoseconds) - (time_ns() - monotonic_ns())


def watched_run(lab, directory):
    """A run, and when each client but that of the program sent its first packet."""
    traffic = [workload for workload in lab.plan.workloads if workload.kind != "command"]
    with ExitStack() as stack:
        watching = {}
        for workload in traffic:
            watching[workload.name] = watched = Watched(lab, workload)
            stack.enter_context(watched.process)
        sleep(1)  # what tcpdump misses at its beginning only makes it see a later packet
        run = lab.run(directory)
        return run, {name: watched.first_ns() for name, watched in watching.items()}


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_all_kinds_of_a_step_start_at_one_instant_which_is_time_zero(lab_name, runtime, tmp_path):
    if not shutil.which("tcpdump"):
        pytest.skip("needs tcpdump")
    with Lab.up(loads(TEXT, "start.yml"), name=lab_name, runtime=runtime) as lab:
        for _ in range(ATTEMPTS):
            run, seen_ns = watched_run(lab, tmp_path)
            first, second = run.starts
            late_ns = [seen_ns[name] - first.start_ns for name in first.began_ns if name in seen_ns]
            if median(late_ns) < SOON_NS:
                break
    assert median(late_ns) < SOON_NS
    assert list(second.began_ns) == ["later"]
    assert second.start_ns > max(first.began_ns.values())
    assert {*first.began_ns} == {"download", "voice", "rpc", "queries", "messages", "program"}
    for start in run.starts:
        for name, began_ns in start.began_ns.items():
            assert began_ns >= start.start_ns
            if name in seen_ns:
                assert seen_ns[name] >= began_ns - CLOCKS_NS
    [event] = run.timeline
    assert event.due_ns == first.start_ns + 1000 * MS
    stored = json.loads((run.path / "run.json").read_text())["starts"]
    assert stored[0]["spread_ns"] == max(first.began_ns.values()) - min(first.began_ns.values())
