"""Faults of nodes, in a run's timeline and live: what others see of the node meanwhile, and how it comes back."""

import json
import signal

import pytest

from testbed.errors import LabError, MachineError
from testbed.lab import Lab
from testbed.topology import loads
from tests.live.command_line import PATIENCE_S, begin, eventually, run

MS = 1_000_000
DELAY_MS = 40

TEXT = """
name: faults
nodes:
  client:
  server: {command: [python3, -m, http.server, "80"], ready: {tcp: 80}}
links: [{between: [client, server], delay: 40ms}]
workloads:
  - {name: echo, kind: command, in: client, timeout: 60s, command: [ping, -n, -i, "0.1", -w, "6", server]}
timeline:
  - {at: 1s, node: server, kill: 1s}
  - {at: 1500ms, run: {in: client, command: [sh, -c, echo one; exit 3]}}
  - {at: 1501ms, run: {in: client, command: [sh, -c, echo two; exit 4], may_fail: true}}
  - {at: 3s, node: server, restart: true}
"""

pytestmark = [
    pytest.mark.live,
    pytest.mark.parametrize(
        "runtime", [pytest.param("netns", marks=pytest.mark.netns), pytest.param("docker", marks=pytest.mark.docker)]
    ),
]


@pytest.fixture
def lab(lab_name, runtime):
    with Lab.up(loads(TEXT, "faults.yml"), name=lab_name, runtime=runtime) as one:
        yield one


def page(lab):
    """Whether the server answers within a second."""
    return lab["client"].run(["curl", "-s", "-m", "1", "-o", "/dev/null", "http://server/"]).status == 0


def round_trips_ms(lab):
    text = lab["client"].run(["ping", "-n", "-c", "3", "-i", "0.2", "-W", "2", "server"]).stdout
    return [float(line.rpartition("time=")[2].split()[0]) for line in text.splitlines() if "time=" in line]


def test_a_node_that_dies_in_a_run_comes_back_behind_its_links(lab, tmp_path):
    done = lab.run(tmp_path, check=False)
    faults = [each for each in done.timeline if ": run" not in each.what]
    assert [(each.at_ns // MS, each.what) for each in faults] == [
        (1000, "server: kill"),
        (2000, "server: start"),
        (3000, "server: restart"),
    ]
    killed, started, restarted = faults
    assert killed.due_ns <= killed.begun_ns <= killed.done_ns <= started.done_ns <= restarted.begun_ns
    forbidden, allowed = sorted(done.commands, key=lambda each: each.at_ns)
    assert [each.status for each in (forbidden, allowed)] == [3, 4]
    assert [(done.path / each.output).read_text() for each in (forbidden, allowed)] == ["one\n", "two\n"]
    assert [reason for reason in done.distrust if "exit" in reason] == [
        f"client: sh -c 'echo one; exit 3', at 1.5 s, ended with status 3; {forbidden.output} has what it wrote"
    ]
    record = map(json.loads, (done.path / "samples" / "echo.jsonl").read_text().splitlines())
    echoes = [line for event in record if "time=" in (line := event.get("line", ""))]
    assert 5 <= len(echoes) <= 50  # of 60, 10 are sent while it is off
    assert all(float(line.rpartition("time=")[2].split()[0]) >= 2 * DELAY_MS for line in echoes)
    assert page(lab)
    assert not [reason for reason in done.distrust if "node server" in reason or "packets" in reason]


def test_a_paused_node_stands_still_with_all_that_runs_in_it(lab, lab_name, runtime):
    server = lab.node("server")
    assert page(lab)
    server.pause()
    assert not page(lab)
    assert len(round_trips_ms(lab)) == 3  # its kernel goes on
    listed = run("ps").stdout
    assert f"testbed fault {lab_name} server unpause" in " ".join(listed.split())
    with pytest.raises(LabError, match="contradicting-fault"):
        server.pause()
    server.unpause()
    assert eventually(lambda: page(lab))


def test_a_node_that_is_off_answers_nothing_and_comes_back_with_its_links(lab):
    server = lab.node("server")
    address = lab.plan.node("server").interfaces[0].address
    server.stop()
    assert lab["client"].run(["ping", "-n", "-c", "2", "-i", "0.2", "-W", "1", address]).status != 0
    server.start()
    assert all(taken >= 2 * DELAY_MS for taken in round_trips_ms(lab))
    assert eventually(lambda: page(lab))
    server.kill(seconds=0.5)
    assert min(round_trips_ms(lab)) >= 2 * DELAY_MS


def test_a_node_has_less_cpu_time_until_the_run_ends(lab, runtime, tmp_path):
    if runtime == "netns":
        with pytest.raises(MachineError, match="no-limits"):
            lab.node("server").throttle(0.25)
        return

    def quota():
        files = "cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us 2>/dev/null || cut -d' ' -f1 /sys/fs/cgroup/cpu.max"
        return lab["server"].run(["sh", "-c", files]).stdout.strip()

    unlimited = quota()
    lab.node("server").throttle(0.25)
    assert quota() == "25000"  # of each 100 ms (cgroups(7), cpu)
    lab.bring_about("server", "cpus", 0.5)
    assert quota() == "50000"
    events = "timeline:\n  - {at: 0s, node: server, cpus: 0.1}\n  - {at: 10ms, heal: all}\n"
    done = lab.play(loads(TEXT.partition("timeline:")[0] + events, "faults.yml"))
    assert [each.what for each in done] == ["server: 0.1 CPUs", "heal all"]
    assert quota() == unlimited


def test_a_run_that_is_killed_leaves_no_node_paused(lab, lab_name, tmp_path):
    text = TEXT.replace("kill: 1s", "pause: true").partition("  - {at: 1500ms")[0]
    file = tmp_path / "paused.yml"
    file.write_text(text)
    with begin("play", lab_name, str(file), lab=lab_name) as process:
        assert b"server: pause" in process.stdout.readline()
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=PATIENCE_S)
    assert eventually(lambda: page(lab))
