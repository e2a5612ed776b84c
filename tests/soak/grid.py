"""The whole grid of `tests/live/grid.py`, and a path much longer; only `make soak` runs it, by this file's name."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from random import Random

import pytest

from testbed.lab import Lab
from testbed.topology import loads
from tests.live import grid
from tests.live.test_grid import RUNTIMES
from tests.soak import figures

pytestmark = pytest.mark.live


@pytest.mark.parametrize("loss", grid.LOSSES)
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_every_kind_over_every_link(lab_name, runtime, loss):
    cells = [cell for cell in grid.whole(runtime) if cell.loss == loss]
    chosen = Random(11).sample(cells, figures.count(len(cells)))
    failed = grid.run(chosen, lab_name)
    figures.keep(
        f"kinds of workload over delays, loss {loss}, {runtime}", tried=len(chosen), failed=len(failed), left=0
    )
    assert failed == []


FAR = """
name: far
nodes: {earth: , probe: }
links: [{between: [earth, probe], delay: 20s}]
workloads:
  - {name: requests, kind: udp-rr, from: earth, to: probe, count: 1}
  - {name: tcp, kind: tcp-rr, from: earth, to: probe, count: 1, tls: true}
  - {name: ping, kind: ping, from: earth, to: probe, count: 5}
  - {name: quic, kind: quic, from: earth, to: probe, rate: 16kbit, duration: 500ms}
"""


@pytest.mark.netns
def test_forty_seconds_of_round_trip(lab_name):
    with Lab.up(loads(FAR, "far.yml"), name=lab_name, runtime="netns") as lab, ThreadPoolExecutor() as pool:
        summaries = {each.workload: each for each in pool.map(lab.run_workload, ("requests", "tcp", "ping", "quic"))}
    assert [each.number("lost") for each in summaries.values()] == [0] * 4
    assert (summaries["tcp"].number("setup_ns") or 0) >= 80 * 10**9
    assert (summaries["ping"].number("latency_min_ns") or 0) >= 40 * 10**9
