"""Faults of nodes, in a run's timeline and live: what others see of the node meanwhile, and how it comes back."""

import json
import signal
import time
from email.utils import parsedate_to_datetime

import pytest

from testbed.agent import messages
from testbed.errors import LabError, MachineError
from testbed.faults import Pause, Unpause
from testbed.lab import Lab
from testbed.topology import loads
from tests.conftest import unused_name
from tests.live.command_line import PATIENCE_S, begin, eventually, run
from tests.runtimes import RUNTIMES

MS = 1_000_000
S = 1000 * MS
DELAY_MS = 40
HOUR_S, FAR_S, DRIFTED_S = 3600, 900, 900
"""A clock that is an hour off is found wrong, and a right one right, however long a busy machine takes to look."""

TEXT = """
name: faults
nodes:
  client:
  server: {command: [python3, -m, http.server, "80"], ready: {tcp: 80}}
links: [{between: [client, server], delay: 40ms}]
workloads:
  - {name: echo, kind: command, in: client, timeout: 60s, command: [ping, -n, -i, "0.1", -w, "6", server]}
timeline:
  - {at: 500ms, node: server, kill: 1s}
  - {at: 800ms, run: {in: client, command: [sh, -c, echo one; exit 3]}}
  - {at: 801ms, run: {in: client, command: [sh, -c, echo two; exit 4], may_fail: true}}
  - {at: 2500ms, node: server, restart: true}
  - {at: 4s, node: server, clock: {offset: -3600s, drift: 1000ppm}}
"""

pytestmark = pytest.mark.live


@pytest.fixture(scope="module", params=RUNTIMES)
def lab(request):
    """One lab for all tests, which leave it as it was."""
    with unused_name() as name, Lab.up(loads(TEXT, "faults.yml"), name=name, runtime=request.param) as one:
        yield one


def page(lab):
    """Whether the server answers within a second."""
    return lab["client"].run(["curl", "-s", "-m", "1", "-o", "/dev/null", "http://server/"]).status == 0


def round_trips_ms(lab):
    text = lab["client"].run(["ping", "-n", "-c", "3", "-i", "0.2", "-W", "2", "server"]).stdout
    return [float(line.rpartition("time=")[2].split()[0]) for line in text.splitlines() if "time=" in line]


def test_a_node_that_dies_in_a_run_comes_back_behind_its_links(lab, tmp_path):
    done = lab.run(tmp_path, check=False)
    faults = [each for each in done.timeline if ": run" not in each.what and ": clock" not in each.what]
    assert [(each.at_ns // MS, each.what) for each in faults] == [
        (500, "server: kill"),
        (1500, "server: start"),
        (2500, "server: restart"),
    ]
    killed, started, restarted = faults
    assert killed.due_ns <= killed.begun_ns <= killed.done_ns <= started.done_ns <= restarted.begun_ns
    forbidden, allowed = sorted(done.commands, key=lambda each: each.at_ns)
    assert [each.status for each in (forbidden, allowed)] == [3, 4]
    assert [(done.path / each.output).read_text() for each in (forbidden, allowed)] == ["one\n", "two\n"]
    assert [reason for reason in done.distrust if "exit" in reason] == [
        f"client: sh -c 'echo one; exit 3', at 800 ms, ended with status 3; {forbidden.output} has what it wrote"
    ]
    record = map(json.loads, (done.path / "samples" / "echo.jsonl").read_text().splitlines())
    echoes = [line for event in record if "time=" in (line := event.get("line", ""))]
    assert 5 <= len(echoes) <= 53  # of 60, 10 are sent while it is off
    assert all(float(line.rpartition("time=")[2].split()[0]) >= 2 * DELAY_MS for line in echoes)
    (seen,) = (seen for each in done.timeline for seen in each.clocks)
    assert (seen.node, seen.offset_ns, seen.drift_ppb) == ("server", -HOUR_S * S, 1_000_000)
    assert seen.at_least_ns <= -HOUR_S * S + 10 * S
    assert seen.at_most_ns >= -HOUR_S * S
    assert eventually(lambda: page(lab))
    assert abs(ahead_s(lab)) < FAR_S  # at the end of the run
    assert not [reason for reason in done.distrust if "node server" in reason or "packets" in reason]


def ahead_s(lab):
    """How far the clock of the server is ahead, by the date that it writes into the header of a page, s."""
    text = lab["client"].run(["curl", "-s", "-i", "-m", "5", "http://server/"]).stdout
    (date,) = (line.partition(": ")[2] for line in text.splitlines() if line.lower().startswith("date:"))
    return parsedate_to_datetime(date).timestamp() - time.time()


def test_programs_of_a_node_have_a_clock_of_their_own_and_wait_as_long_as_ever(lab):
    server = lab.node("server")
    assert eventually(lambda: page(lab))
    server.set_clock(HOUR_S, drift_ppm=100_000)
    try:
        assert HOUR_S - FAR_S < ahead_s(lab) < HOUR_S + FAR_S + DRIFTED_S
        own, machine = server.run(["date", "+%s"]), lab["client"].run(["date", "+%s"])
        assert HOUR_S - FAR_S < int(own.stdout) - int(machine.stdout) < HOUR_S + FAR_S + DRIFTED_S
        code = "import time; a = time.time(); m = time.monotonic(); time.sleep(1); m = time.monotonic() - m; "
        drifted_s, waited_s = map(
            float, server.run(["python3", "-c", f"{code}print(time.time() - a, m)"]).stdout.split()
        )
        assert waited_s >= 1
        assert drifted_s > 1.09 * waited_s
        monotonic_s = float(server.run(["python3", "-c", "import time; print(time.monotonic())"]).stdout)
        assert abs(monotonic_s - time.monotonic()) < FAR_S
    finally:
        server.set_clock()
    assert abs(ahead_s(lab)) < FAR_S
    with pytest.raises(MachineError, match="no-clock"):
        lab.node("client").set_clock(1)


def test_a_program_that_the_clock_does_not_reach_is_named(lab):
    server = lab.node("server")

    def refusal():
        try:
            server.set_clock(1)
        except LabError as error:
            return error.message
        return ""

    hidden = server.popen(["sh", "-c", "unset LD_PRELOAD; exec sleep 60"])
    try:
        assert eventually(lambda: "it does not reach sleep" in refusal())
    finally:
        hidden.kill()
        hidden.wait()
    server.set_clock()


LATE = "/tmp/late-library"
LOADING = f"rm -f {LATE}; mkfifo {LATE}; exec env LD_PRELOAD={LATE}:$LD_PRELOAD sleep 60"
"""A program whose dynamic loader waits until somebody opens a FIFO, which it takes for the first library."""
IS_LOADING = (
    "for each in /proc/[0-9]*; do grep -qsx sleep $each/comm && ! grep -qs libc $each/maps && exit; done; exit 1"
)
AFTERWARDS = f"""
while seen=$(grep -las 'b[e]yond' /proc/[0-9]*/cmdline); [ -z "$seen" ]; do sleep 0.05; done
for each in $seen; do while [ -e $each ]; do sleep 0.05; done; done
: > {LATE}
"""
"""Opens it after the first look at the clock, whose text has that word."""


def test_a_program_that_is_still_being_loaded_is_not_beyond_the_clock(lab):
    server = lab.node("server")
    loading, opening = server.popen(["sh", "-c", LOADING]), server.popen(["sh", "-c", AFTERWARDS])
    try:
        assert eventually(lambda: server.run(["sh", "-c", IS_LOADING]).status == 0)
        server.set_clock(1)
        assert server.run(["sh", "-c", IS_LOADING]).status == 1
        server.set_clock()
    finally:
        for program in (loading, opening):
            program.kill()
            program.wait()


SLOW_GREP = """
printf '#!/bin/sh\\n/usr/bin/grep "$@"; status=$?; sleep 0.05; exit $status\\n' > /usr/local/bin/grep
chmod +x /usr/local/bin/grep
for each in 1 2 3 4 5; do while :; do sleep 0.1; done & done
wait
"""
"""Programs that come and go, each of them while a look asks about it, for that takes longer than it should."""


def test_a_program_that_ends_during_a_look_is_not_beyond_the_clock(lab):
    if lab.runtime == "docker":
        pytest.skip("programs of the image's user put no grep before others'; what looks is the same for all runtimes")
    server = lab.node("server")
    fleeting = server.popen(["sh", "-c", SLOW_GREP])
    try:
        assert eventually(lambda: server.run(["test", "-x", "/usr/local/bin/grep"]).status == 0)
        for _ in range(3):
            server.set_clock(1)
    finally:
        fleeting.kill()
        fleeting.wait()
        server.run(["rm", "/usr/local/bin/grep"])
    server.set_clock()


@pytest.mark.netns
def test_the_end_of_a_run_waits_for_what_is_due_and_looks_at_it(lab_name, tmp_path):
    """The node's program takes longer to stop than the workload lasts, so all that is to happen to the node is late."""
    slow = "trap 'sleep 3; exit' TERM; while :; do sleep 0.1; done"
    text = TEXT.replace('[python3, -m, http.server, "80"], ready: {tcp: 80}', json.dumps(["sh", "-c", slow]))
    text = text.partition("timeline:")[0].replace('"6"', '"1"')
    events = "timeline:\n  - {at: 300ms, node: server, restart: true}\n  - {at: 310ms, node: server, clock: 3600s}\n"
    with Lab.up(loads(text + events, "late.yml"), name=lab_name, runtime="netns") as own:
        _, changed = own.run(tmp_path, check=False).timeline
    (seen,) = changed.clocks
    assert seen.at_least_ns <= HOUR_S * S <= seen.at_most_ns


def test_a_paused_node_stands_still_with_all_that_runs_in_it(lab):
    server = lab.node("server")
    assert page(lab)
    server.pause()
    assert not page(lab)
    assert len(round_trips_ms(lab)) == 3  # its kernel goes on
    if lab.runtime == "netns":  # which is the same for all runtimes
        assert f"testbed fault {lab.name} server unpause" in " ".join(run("ps").stdout.split())
    with pytest.raises(LabError, match="contradicting-fault"):
        server.pause()
    server.unpause()
    assert eventually(lambda: page(lab))


def test_a_node_that_is_off_answers_nothing_and_comes_back_with_its_links(lab):
    server = lab.node("server")
    address = lab.plan.node("server").interfaces[0].address
    server.stop()
    assert lab["client"].run(["ping", "-n", "-c", "1", "-W", "1", address]).status != 0
    server.start()
    assert all(taken >= 2 * DELAY_MS for taken in round_trips_ms(lab))
    assert eventually(lambda: page(lab))
    server.kill(seconds=0.5)
    assert min(round_trips_ms(lab)) >= 2 * DELAY_MS


def test_a_node_has_less_cpu_time_until_the_run_ends(lab):
    if lab.runtime == "netns":
        pytest.skip("nodes of namespaces do not see their cgroups: tests/live/test_settings_of_nodes.py")

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


def test_a_run_that_is_killed_leaves_no_node_paused(lab, tmp_path):
    text = TEXT.replace("kill: 1s", "pause: true").partition("  - {at: 800ms")[0]
    file = tmp_path / "paused.yml"
    file.write_text(text)
    with begin("play", lab.name, str(file), lab=lab.name) as process:
        assert b"server: pause" in process.stdout.readline()
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=PATIENCE_S)
    assert eventually(lambda: page(lab))


BEATS = """
import time
with open("/tmp/beats", "w", buffering=1) as file:
    while True:
        print(time.monotonic_ns(), file=file)
        time.sleep(0.0002)
"""


def test_no_program_of_a_node_runs_between_a_pause_and_its_end(lab):
    client = lab["client"]
    with client.popen(["python3", "-c", BEATS]):
        assert eventually(lambda: client.run(["test", "-s", "/tmp/beats"]).status == 0)
        spans = []
        for _ in range(5):
            paused = lab.agent.call(messages.BringAbout(faults=(Pause(node="client"),)))
            time.sleep(0.05)
            unpaused = lab.agent.call(messages.BringAbout(faults=(Unpause(node="client"),)))
            spans.append((paused.done_ns, unpaused.begun_ns, unpaused.done_ns))
            time.sleep(0.05)
        beats = [int(line) for line in client.run(["cat", "/tmp/beats"]).stdout.splitlines()[:-1]]
    for done_ns, begun_ns, _ in spans:
        assert [beat for beat in beats if done_ns < beat < begun_ns] == []
    assert all(any(beat > done_ns for beat in beats) for _, _, done_ns in spans)
