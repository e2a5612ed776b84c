"""Names that fail, disks that are full or slow, less CPU time: as programs of the nodes see it, and afterwards."""

import json
import os
import shutil
import signal
import time
from pathlib import Path

import pytest

from testbed.errors import LabError, MachineError, UsageError
from testbed.lab import Lab
from testbed.runtime.state import LabDirectory
from testbed.topology import TopologyError, loads
from tests import directories
from tests.conftest import unused_name
from tests.live.command_line import PATIENCE_S, begin, eventually, run
from tests.live.others import said
from tests.runtimes import RUNTIMES

TEXT = """
name: settings
nodes:
  client: {{volumes: ["{volume}:/srv"], extra_hosts: {{fixed: 198.18.0.5}}}}
  server:
  other:
"""
LOOK = """
import socket, sys, time
begun = time.monotonic()
try:
    found = sorted({each[4][0] for each in socket.getaddrinfo(sys.argv[1], 80, socket.AF_INET)})
except socket.gaierror as error:
    found = [error.errno]
print(*found, time.monotonic() - begun)
"""
PAGE = 4096
NO_SUCH_NAME, TRY_AGAIN = "-2", "-3"
"""EAI_NONAME and EAI_AGAIN of getaddrinfo(3)."""

pytestmark = pytest.mark.live


@pytest.fixture(scope="module", params=RUNTIMES)
def lab(request, tmp_path_factory):
    """One lab for all tests, which leave it as it was."""
    volume = tmp_path_factory.mktemp("volume")
    volume.chmod(0o777)
    for parent in volume.parents[:-2]:
        parent.chmod(parent.stat().st_mode | 0o055)  # the user of a container's programs is another one
    text = TEXT.format(volume=volume)
    with unused_name() as name, Lab.up(loads(text, "settings.yml"), name=name, runtime=request.param) as one:
        yield one
    assert groups(name) == []


def groups(name):
    return [each for each in directories.below("/sys/fs/cgroup") if each.name.startswith(f"testbed-{name}-")]


def volume_of(lab):
    """The directory of this machine that is the client's /srv."""
    return Path(lab.plan.node("client").service.volumes[0].source)


def looked_up(lab, name, node="client"):
    """What a program of a node gets for a name, and how long it takes, s."""
    *found, seconds = lab[node].run(["python3", "-c", LOOK, name]).stdout.split()
    return found, float(seconds)


def address(lab, node):
    return next(iter(lab[node].addresses.values())).partition("/")[0]


def hosts(lab):
    return lab["client"].run(["cat", "/etc/hosts"]).stdout


def test_a_name_fails_is_slow_or_lies_for_one_node_and_one_name(lab):
    client, before = lab["client"], hosts(lab)
    server, other = [address(lab, "server")], [address(lab, "other")]
    assert looked_up(lab, "server")[0] == server
    client.set_dns("server", fails="nxdomain")
    assert looked_up(lab, "server")[0] == [NO_SUCH_NAME]
    assert looked_up(lab, "other")[0] == other
    assert looked_up(lab, "server", "other")[0] == server
    client.set_dns("server", fails="servfail")
    assert looked_up(lab, "server")[0] == [TRY_AGAIN]
    client.set_dns("server", slow_seconds=1)
    found, seconds = looked_up(lab, "SERVER")
    assert found == server
    assert seconds >= 1
    client.set_dns("server", answer=["other", "198.18.0.77"])
    assert looked_up(lab, "server")[0] == sorted([*other, "198.18.0.77"])
    client.set_dns("fixed", answer="198.18.0.78")  # of the file's extra_hosts
    assert looked_up(lab, "fixed")[0] == ["198.18.0.78"]
    client.set_dns("server")
    assert looked_up(lab, "server")[0] == server
    client.set_dns("fixed")
    assert looked_up(lab, "fixed")[0] == ["198.18.0.5"]
    assert hosts(lab) == before


def test_all_names_fail_but_those_with_a_fault_of_their_own(lab):
    client = lab["client"]
    client.set_dns("*", fails="servfail")
    client.set_dns("other", answer="198.18.0.77")
    assert [looked_up(lab, name)[0] for name in ("server", "fixed", "api.example.org")] == [[TRY_AGAIN]] * 3
    assert looked_up(lab, "other")[0] == ["198.18.0.77"]
    assert looked_up(lab, "localhost")[0] == ["127.0.0.1"]
    client.set_dns("*")
    client.set_dns("other")
    assert looked_up(lab, "server")[0] == [address(lab, "server")]


@pytest.mark.skipif(not shutil.which("dig"), reason="this machine has no dig")
def test_dig_sees_it_too_over_udp_and_tcp(lab):
    if lab.runtime == "docker":
        pytest.skip("the image has no dig")
    lab["client"].set_dns("server", answer="198.18.0.77")
    for way in ("+notcp", "+tcp"):
        assert lab["client"].run(["dig", "+short", "+tries=1", way, "server"]).stdout == "198.18.0.77\n"
    lab["client"].set_dns("server", fails="nxdomain")
    assert "status: NXDOMAIN" in lab["client"].run(["dig", "+tries=1", "server"]).stdout
    lab["client"].set_dns("server")


def test_a_wrong_name_outlasts_a_restart_and_ends_with_its_time(lab):
    before, client = hosts(lab), lab["client"]
    lab.bring_about("client", "dns", {"name": "fixed", "answer": "other"})
    client.restart()
    assert looked_up(lab, "fixed")[0] == [address(lab, "other")]
    client.kill()
    client.set_dns("fixed")  # while it is off
    client.start()
    assert looked_up(lab, "fixed")[0] == ["198.18.0.5"]
    happened = client.bring_about("dns", "server", seconds=0.2)
    assert happened == ("client: name server fails (NXDOMAIN)", "client: name server as before")
    assert looked_up(lab, "server")[0] == [address(lab, "server")]
    assert hosts(lab) == before


def test_a_timeline_sets_names_and_disks_and_one_that_is_killed_heals_them(lab, tmp_path):
    work = "workloads: [{name: w, kind: command, in: client, command: sleep 90}]\n"
    text = TEXT.format(volume=volume_of(lab)) + work + "timeline:\n"
    events = "  - {at: 100ms, node: client, dns: {name: server, fails: servfail}, for: 400ms}\n"
    events += "  - {at: 200ms, node: client, disk: /dev/shm, for: 200ms}\n"
    done = lab.play(loads(text + events, "settings.yml"))
    assert [(each.at_ns // 10**6, each.what) for each in done] == [
        (100, "client: name server fails (SERVFAIL)"),
        (200, "client: disk /dev/shm full"),
        (400, "client: disk /dev/shm as large as before"),
        (500, "client: name server as before"),
    ]
    assert all(each.due_ns <= each.begun_ns <= each.done_ns for each in done)
    before = free(lab)
    file = tmp_path / "settings.yml"
    file.write_text(
        text + events.replace(", for: 400ms", "").replace(", for: 200ms", "") + "  - {at: 60s, heal: all}\n"
    )
    with begin("play", lab.name, str(file), lab=lab.name) as process:
        assert b"name server fails" in process.stdout.readline()
        assert b"full" in process.stdout.readline()
        assert free(lab)[1] == 0
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=PATIENCE_S)
    assert eventually(lambda: free(lab) == before and looked_up(lab, "server")[0] == [address(lab, "server")])


def free(lab):
    """The size of a file system and what is free in it, as df says, KiB."""
    line = lab["client"].run(["df", "-k", "/dev/shm"]).stdout.splitlines()[1].split()
    return int(line[1]), int(line[3])


def write(lab, path, size=PAGE):
    return lab["client"].run(["dd", "if=/dev/zero", f"of={path}", f"bs={size}", "count=1"])


def test_a_full_disk_takes_nothing_and_has_its_room_again(lab):
    client, empty = lab["client"], free(lab)
    for written in (0, 5 * PAGE):
        if written:
            assert write(lab, "/dev/shm/kept", written).status == 0
        before = free(lab)
        client.fill_disk("/dev/shm")
        assert free(lab)[1] == 0
        refused = write(lab, "/dev/shm/more")
        assert refused.status
        assert "No space left on device" in refused.stderr
        client.fill_disk("/dev/shm", full=False)
        client.run(["rm", "-f", "/dev/shm/more"])
        assert free(lab) == before
        assert write(lab, "/dev/shm/more").status == 0
        client.run(["rm", "/dev/shm/more"])
    client.fill_disk("/dev/shm")
    client.restart()
    assert write(lab, "/dev/shm/more").status
    client.fill_disk("/dev/shm", full=False)
    client.run(["rm", "-f", "/dev/shm/more"])
    assert write(lab, "/dev/shm/more").status == 0
    client.run(["rm", "/dev/shm/more"])
    assert free(lab) == empty


@pytest.mark.parametrize("path", ["/", "/etc", "/srv", "/proc"])
def test_a_disk_that_is_also_the_machines_is_not_filled(lab, path):
    with pytest.raises(MachineError, match="disk-not-own"):
        lab["client"].fill_disk(path)
    with pytest.raises(LabError, match="disk-not-changed"):
        lab["client"].fill_disk("/nowhere")


def test_a_slow_disk_is_slow_for_the_node_alone(lab):
    if os.geteuid() or not os.major(volume_of(lab).stat().st_dev):
        pytest.skip("this needs root, and a directory on a disk")
    argv = ["dd", "if=/dev/zero", "bs=64k", "count=16", "oflag=direct"]

    def seconds():
        begun = time.monotonic()
        done = lab["client"].run([*argv, "of=/srv/file"])
        assert done.status == 0, done.stderr
        return time.monotonic() - begun

    lab["client"].slow_disk("/srv", 500_000)
    assert seconds() > 1.5
    lab["client"].restart()
    assert seconds() > 1.5
    lab["client"].slow_disk("/srv", None)
    assert not [each for each in groups(lab.name) if "blkio" in str(each)]
    with pytest.raises(MachineError, match="no-disk"):
        lab["client"].slow_disk("/dev/shm", 500_000)


BURN = """
import time
begun, used = time.monotonic(), time.process_time()
while time.process_time() < used + 0.3: pass
print(time.monotonic() - begun)
"""


def test_a_program_of_a_slowed_node_takes_as_long_as_its_cpu_time_allows(lab):
    if lab.runtime == "netns" and os.geteuid():
        pytest.skip("this needs root")
    lab["client"].throttle(0.25)
    at_least_s = 0.2 / 0.25  # in a period of 100 ms it may use what there is for that at once
    assert float(lab["client"].run(["python3", "-c", BURN]).stdout) > at_least_s
    lab["client"].restart()
    assert float(lab["client"].run(["python3", "-c", BURN]).stdout) > at_least_s
    lab["client"].throttle(0.2, seconds=0.1)
    assert groups(lab.name) == []


def test_what_is_written_in_one_line_is_read_as_in_a_file(lab):
    said = run("fault", lab.name, "client", "dns={name: server, slow: 10ms}", "--for", "100ms", "--json").stdout
    assert json.loads(said) == ["client: name server slow by 10 ms", "client: name server as before"]
    for wrong in ("dns={name", "dns={name: server, answer: nobody}", "disk"):
        assert run("fault", lab.name, "client", wrong).returncode == 2
    with pytest.raises(UsageError, match="exclude each other"):
        lab["client"].set_dns("server", fails="nxdomain", answer="other")


@pytest.mark.netns
def test_a_killed_agent_leaves_no_cgroup_when_its_lab_is_down(lab_name):
    if os.geteuid():
        pytest.skip("this needs root")
    with Lab.up(loads("name: k\nnodes: {a: }", "k.yml"), name=lab_name, runtime="netns") as one:
        one["a"].throttle(0.5)
        assert groups(lab_name)
        for pid in said("pgrep", "--exact", LabDirectory("netns", lab_name).agent_name).split():
            os.kill(int(pid), signal.SIGKILL)
    assert groups(lab_name) == []


@pytest.mark.parametrize(
    ("event", "code"),
    [("disk: /data", "disk-not-own"), ("disk: {path: /dev/shm, rate: 8mbit}", "no-disk")],
)
def test_a_disk_that_can_not_be_so_is_an_error_of_the_file(event, code):
    work = "workloads: [{name: w, kind: command, in: a, command: sleep 9}]"
    text = f"name: d\nnodes: {{a: }}\n{work}\ntimeline: [{{at: 1s, node: a, {event}}}]"
    with pytest.raises(TopologyError, match=f"d.yml:4:.*{code}"):
        loads(text, "d.yml")
