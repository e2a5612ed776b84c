"""Commands in nodes: the end of every one reaches the one who waits for it, and none reaches another node."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from testbed.errors import LabError
from testbed.lab import Lab
from testbed.topology import load, loads
from tests.live.command_line import eventually, run
from tests.runtimes import RUNTIMES

pytestmark = pytest.mark.live

NODES = "name: commands\nnodes: {a: {}, b: {}}\n"
THREADS = 16
LIMIT_S = 60
MOST_DESCRIPTORS = 100

both = pytest.mark.parametrize("runtime", RUNTIMES)


@pytest.fixture
def lab(runtime, lab_name):
    with Lab.up(loads(NODES, "commands.yml"), name=lab_name, runtime=runtime) as up:
        yield up


@both
def test_the_end_of_every_command_is_seen(lab, runtime):
    count = {"netns": 5000, "docker": 100}[runtime]

    def ends_well(number):
        done = lab["ab"[number % 2]].run(["sh", "-c", f"echo {number}; exit {number % 7}"], timeout=LIMIT_S)
        return (done.status, done.stdout) == (number % 7, f"{number}\n")

    with ThreadPoolExecutor(THREADS) as pool:
        assert sum(pool.map(ends_well, range(count))) == count
    agent = lab.agent.hello().pid
    if runtime == "docker":  # where its pid is that of this machine
        assert len(os.listdir(f"/proc/{agent}/fd")) < MOST_DESCRIPTORS  # noqa: PTH208


@both
def test_a_command_ends_when_its_process_does(lab):
    """A process that it leaves behind has its output, and is not waited for."""
    done = lab["a"].run(["sh", "-c", "sleep 600 & echo begun; exit 3"], timeout=LIMIT_S)
    assert (done.status, done.stdout) == (3, "begun\n")
    with pytest.raises(LabError, match="command-timeout"):
        lab["a"].run(["sh", "-c", "setsid sleep 600; true"], timeout=1)


@both
def test_a_command_can_write_more_than_a_pipe_holds(lab):
    done = lab["a"].run(["head", "-c", "3000000", "/dev/zero"], timeout=LIMIT_S)
    assert done.stdout == "\0" * 3_000_000


@pytest.mark.netns
@pytest.mark.parametrize("runtime", ["netns"])
def test_a_command_ends_no_process_of_another_node(lab):
    for node in "ab":
        lab[node].run(["sh", "-c", "sleep 600 >/dev/null 2>&1 &"])
    assert lab["a"].run(["pkill", "-KILL", "sleep"]).status == 0
    assert eventually(lambda: not lab["a"].run(["pgrep", "sleep"]).stdout)
    assert len(lab["b"].run(["pgrep", "sleep"]).stdout.split()) == 1
    assert lab["a"].run(["ps", "-eo", "comm="]).stdout.split()[-1] == "ps"


@pytest.mark.netns
@pytest.mark.parametrize("runtime", ["netns"])
def test_processes_that_are_left_behind_are_reaped(lab):
    lab["a"].run(["sh", "-c", "for n in 1 2 3 4 5; do (sh -c : &) & done; wait"])
    assert eventually(lambda: "Z" not in lab["a"].run(["ps", "-eo", "stat="]).stdout)


@pytest.mark.netns
@pytest.mark.parametrize("runtime", ["netns"])
def test_the_first_process_of_a_node_withstands_signals_from_within(lab):
    for number in ("TERM", "INT", "KILL", "PIPE", "CHLD", "HUP", "USR1"):
        lab["a"].run(["kill", f"-{number}", "1"])
    assert lab["a"].run(["cat", "/proc/1/comm"]).stdout == "init\n"


@both
def test_a_node_forwards_nothing_unless_the_file_says_so(lab):
    assert lab["a"].run(["cat", "/proc/sys/net/ipv4/ip_forward"]).stdout == "0\n"
    assert lab["a"].run(["cat", "/proc/sys/net/ipv4/conf/all/rp_filter"]).stdout == "0\n"


@both
def test_a_node_forwards_where_the_file_says_so(runtime, lab_name):
    text = 'name: forwarding\nnodes: {a: {sysctls: {net.ipv4.ip_forward: "1"}}}\n'
    with Lab.up(loads(text, "forwarding.yml"), name=lab_name, runtime=runtime) as lab:
        assert lab["a"].run(["cat", "/proc/sys/net/ipv4/ip_forward"]).stdout == "1\n"


PLACES = """
name: places
nodes:
  a: {command: [sh, -c, "pwd > seen; env >> seen; exec sleep 600"], environment: {COLOUR: green, LANG: C}}
workloads:
  - {name: w, kind: command, in: a, command: [sh, -c, "pwd >> seen"]}
"""


@pytest.mark.netns
def test_commands_start_in_the_topologys_directory_with_its_variables(tmp_path, lab_name, monkeypatch):
    monkeypatch.setenv("SECRET", "of the caller")
    (tmp_path / "places.yml").write_text(PLACES)
    with Lab.up(load(tmp_path / "places.yml"), name=lab_name, runtime="netns") as lab:
        lab.run_workload("w")
        assert lab["a"].run(["pwd"]).stdout == f"{tmp_path}\n"
        assert run("exec", lab_name, "a", "--", "pwd").stdout == f"{tmp_path}\n"
        first, *variables, last = lab["a"].run(["cat", "seen"]).stdout.splitlines()
        assert first == last == str(tmp_path)
        names = {line.partition("=")[0] for line in variables}
        assert names == {"PATH", "HOME", "LANG", "COLOUR", "PWD"}  # the last is the shell's own
        assert {"COLOUR=green", "LANG=C"} <= {*variables}


@pytest.mark.netns
def test_a_directory_that_is_gone_is_an_error_with_the_fix(tmp_path, lab_name):
    directory = tmp_path / "gone"
    directory.mkdir()
    with Lab.up(loads(NODES, "commands.yml", directory), name=lab_name, runtime="netns"):
        directory.rmdir()
        done = run("exec", lab_name, "a", "--", "true")
        assert done.returncode == 2
        assert done.stderr.startswith(f"no-directory: commands of node a start in {directory}, ")
        assert "hint: bring it back" in done.stderr


def test_the_directory_of_a_lab_is_no_part_of_its_plan(tmp_path):
    from testbed import plan  # noqa: PLC0415

    one, other = (plan.resolve(loads(NODES, "commands.yml", path)) for path in (tmp_path, Path("/")))
    assert (one.directory, other.directory) == (str(tmp_path), "/")
    assert (one, one.digest, one.to_json()) == (other, other.digest, other.to_json())
