"""Three machines with 20 ms there and back between them: the same file has the same verdicts as on one."""

from __future__ import annotations

import json
import re

import pytest

from testbed import runs
from tests.live import engines
from tests.live.command_line import nothing_remains_on, run
from tests.live.lateness import only_late

pytestmark = [pytest.mark.live, pytest.mark.machines]

NAMES = ("east", "west", "south")
SECONDS = 300
TRIES = 3
LATE_MS = 60_000
"""How late a busy machine may make the fastest of many packets."""

NODES = """
networks: {lan: {mtu: 1450}}
nodes: {client: , server: , third: }
"""
FILE = """
name: three
seed: 3
links:
  - {between: [client, server], delay: 40ms, loss: 1%}
  - {between: [client, third], delay: 10ms, rate: 5mbit, queue: 50ms}
  - {between: [server, third], delay: 25ms, jitter: 5ms}
workloads:
  - {name: stream, kind: udp-stream, from: client, to: server, rate: 400kbit, duration: 2s}
  - together:
    - {name: download, kind: tcp-stream, from: third, to: client, duration: 2s}
    - {name: calls, kind: tcp-rr, from: third, to: server, count: 20}
expect: [stream.loss < 10%, calls.latency.p50 > 45ms, download.goodput < 5mbit]
"""


@pytest.fixture(scope="module")
def machines(tmp_path_factory):
    with engines.swarm(tmp_path_factory.mktemp("engines") / "all", *NAMES) as found:
        yield found


def written(tmp_path, name, head):
    path = tmp_path / name
    path.write_text(f"{FILE.strip()}\n{head}", encoding="utf-8")
    return str(path)


def verdicts(file, lab_name, results, *options):
    """The digest of the plan, the links, all of which are as requested or come late, and the expectations.

    A run is repeated whose check had no time for all links: then it has no verdict.
    """
    for _ in range(TRIES):
        done = run("run", file, "--name", lab_name, "--results", str(results), *options, timeout=SECONDS)
        found = runs.load(results / "latest")
        assert done.returncode == 0 or only_late(found), done.stdout + done.stderr
        if not any(check.skipped for check in found.checks):
            break
    links = [check.full_name for check in found.checks if not check.skipped]
    return found.plan_digest, links, [(outcome.expectation, outcome.passed) for outcome in found.outcomes]


def test_the_same_file_has_the_same_verdicts_on_one_machine_and_on_three(machines, lab_name, tmp_path):
    hosts = json.dumps({each.name: each.address for each in machines})
    on_three = verdicts(written(tmp_path, "three.yml", f"hosts: {hosts}\n{NODES}"), lab_name, tmp_path / "three")
    assert nothing_remains_on(machines, lab_name)
    one = written(tmp_path, "one.yml", NODES)
    assert on_three == verdicts(one, lab_name, tmp_path / "one", "--runtime", "docker")
    _, links, expectations = on_three
    assert (len(links), len(expectations)) == (6, 3)


def test_links_between_machines_add_to_what_is_between_these(machines, lab_name, tmp_path):
    between = [f"{{between: [{one}, {other}], delay: 10ms}}" for one, other in (NAMES[:2], NAMES[1:], NAMES[::2])]
    nodes = ", ".join(f"{each.name}: {{namespace: {each.pid}}}" for each in machines)
    far = f"{lab_name}-far"
    path = tmp_path / "far.yml"
    path.write_text(f"name: far\nruntime: netns\nnodes: {{{nodes}}}\nlinks: [{', '.join(between)}]\n", encoding="utf-8")
    done = run("up", str(path), "--name", far)
    assert done.returncode == 0, done.stderr
    try:
        hosts = json.dumps({each.name: each.address for each in machines})
        file = written(tmp_path, "three.yml", f"hosts: {hosts}\n{NODES}")
        done = run("up", file, "--name", lab_name, timeout=SECONDS)
        assert done.returncode == 0, done.stderr
        try:
            done = run("exec", lab_name, "client", "--", "ping", "-c", "20", "-i", "0.2", "server")
            times = [float(each) for each in re.findall(r"time=([0-9.]+)", done.stdout)]
            assert 100 <= min(times) < LATE_MS, done.stdout
            done = run("check", lab_name, timeout=SECONDS)
            said = " ".join(done.stdout.split())
            found = re.search(r"too high: 1\d(\.\d)? ms of it lie between machines east and west; ask for", said)
            assert found or "this machine was too busy" in said, said
        finally:
            assert run("down", lab_name).returncode == 0
    finally:
        assert run("down", far).returncode == 0
