"""Every kind of fault at seeded moments, while traffic goes on; only `make soak` runs it, by this file's name.

A node has survived a fault if its neighbour reaches it afterwards, and the agent holds it no more.
"""

from __future__ import annotations

import secrets
import time
from random import Random

import pytest

from testbed.errors import TestbedError
from testbed.lab import Lab
from testbed.topology import loads
from tests.live.command_line import nothing_remains
from tests.live.test_faults import runtime  # noqa: F401  # the fixture
from tests.soak import figures

pytestmark = pytest.mark.live

TRIALS = 40

TEXT = """
name: faults
nodes: {a: , b: {command: [sleep, inf], stop_signal: SIGKILL, tmpfs: "/srv:size=1m", volumes: ["/var/tmp:/mnt"]}}
links: [{between: [a, b], delay: 2ms}]
workloads: [{name: ping, kind: ping, from: a, to: b, count: 5}]
timeline: [{at: 100ms, node: b, clock: {offset: 1s}}]
"""
"""Its timeline is not played: it gives the node a clock."""


def _for_a_while(kind):
    return lambda lab, milliseconds: lab["b"].bring_about(kind, f"{milliseconds}ms")


def _throttled(lab, milliseconds):
    lab["b"].throttle(0.1, seconds=milliseconds / 1e3)


def _wrong_names(**how):
    return lambda lab, milliseconds: lab["b"].set_dns("a", **how, seconds=milliseconds / 1e3)


def _full_disk(lab, milliseconds):
    lab["b"].fill_disk("/srv", seconds=milliseconds / 1e3)


def _slow_disk(lab, milliseconds):
    lab["b"].slow_disk("/mnt", 500_000, seconds=milliseconds / 1e3)


def _wrong_clock(lab, milliseconds):
    lab["b"].set_clock(milliseconds, drift_ppm=100)
    lab["b"].set_clock()


def _changed(**to):
    def bring_about(lab, milliseconds):
        with lab.link("a", "b").impaired(**to):
            time.sleep(milliseconds / 1e3)

    return bring_about


def _partition(lab, milliseconds):
    with lab.partition(["a"], ["b"]):
        time.sleep(milliseconds / 1e3)


FAULTS = {
    "pause": _for_a_while("pause"),
    "stop": _for_a_while("stop"),
    "kill": _for_a_while("kill"),
    "restart": lambda lab, _: lab["b"].restart(),
    "cpus": _throttled,
    "dns fails": _wrong_names(fails="nxdomain"),
    "dns lies": _wrong_names(answer="198.18.0.99"),
    "disk full": _full_disk,
    "disk slow": _slow_disk,
    "clock": _wrong_clock,
    "partition": _partition,
    "blackhole": _changed(blackhole=True),
    "loss and delay": _changed(loss="50%", delay="50ms"),
}


@pytest.mark.parametrize("kind", FAULTS)
def test_a_node_survives_a_fault(runtime, kind):  # noqa: F811  # the fixture
    random, failed, name, trials = Random(11), [], f"test-{secrets.token_hex(5)}", figures.count(TRIALS)
    with Lab.up(loads(TEXT, "faults.yml"), name=name, runtime=runtime) as lab, lab["a"].popen("ping -i 0.01 b"):
        for _ in range(trials):
            time.sleep(random.uniform(0, 0.2))
            try:
                FAULTS[kind](lab, random.randrange(1, 300))
                reached = lab["a"].run(["ping", "-c10", "-i0.2", "-w10", "b"]).stdout
                held = lab.agent.hello().held
                failed += [] if "bytes from" in reached and not held else [f"{reached}, held: {held}"]
            except TestbedError as error:
                failed.append(str(error))
    left = 0 if nothing_remains(name) else 1
    figures.keep(f"fault {kind}, {runtime}", tried=trials, failed=len(failed), left=left)
    assert (failed, left) == ([], 0)
