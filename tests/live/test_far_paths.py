"""Workloads whose path gets so long that waits of fixed lengths would give up."""

from __future__ import annotations

import pytest

from testbed.lab import Lab
from testbed.topology import loads

pytestmark = [pytest.mark.live, pytest.mark.netns]

FILE = """
name: far
nodes: {a: , b: }
links: [{between: [a, b], delay: 5ms}]
workloads:
  - together:
      - {name: ping, kind: ping, from: a, to: b, count: 20}
      - {name: voice, kind: udp-stream, from: a, to: b, duration: 2s}
timeline: [{at: 1s, link: {between: [a, b]}, delay: 2s}]
expect: [ping.loss == 0, voice.loss == 0, ping.latency.max >= 4s]
"""


def test_what_is_under_way_when_the_path_gets_longer_is_waited_for(lab_name, tmp_path):
    with Lab.up(loads(FILE, "far.yml"), name=lab_name, runtime="netns") as lab:
        run = lab.run(tmp_path)
    assert [outcome.passed for outcome in run.outcomes] == [True] * 3, run.outcomes
