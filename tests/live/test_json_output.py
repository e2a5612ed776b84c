"""Every command that has --json prints JSON and nothing else, and its errors are JSON too."""

import json
import os
import secrets
import signal
import subprocess
import sys

import click
import pytest

from testbed.cli import COMMANDS, cli, main
from tests.conftest import remains
from tests.live.command_line import WAIT_S

pytestmark = [
    pytest.mark.live,
    pytest.mark.netns,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root may enter namespaces of others"),
]

WITHOUT = {"exec", "shell", "watch", "schema", "completion"}
"""Commands for people, those whose output is another program's, and one that prints JSON anyway."""

LAB = """
name: pair
runtime: netns
nodes: {a: {command: [sh, -c, "echo hello; sleep 600"]}, b: {}}
links: [{from: a, to: b, delay: 5ms}]
workloads: [{name: rpc, kind: tcp-rr, from: a, to: b, count: 3}]
"""
PLAIN = """
name: plain
runtime: netns
nodes: {a: , b: }
workloads: [{name: rpc, kind: tcp-rr, from: a, to: b, count: 3}]
"""
TIMELINE = "timeline: [{at: 10ms, link: {from: a, to: b}, delay: 20ms, for: 10ms}]\n"
CHAOS = "chaos: {every: 100ms, lasting: 100ms, faults: [partition], until: 200ms}\n"
COMPOSE = "services: {web: {image: nginx, init: true}, db: {image: postgres}}\n"

WORDS = {
    "up": "up pair.yml --name LAB",
    "run": "run LAB",
    "down": "down no-such-lab",
    "ps": "ps",
    "attach": "attach --namespace LAB-a LAB-b --name LAB-n --link LAB-a,LAB-b delay=5ms --check-budget 5",
    "detach": "detach no-such-lab",
    "check": "check LAB --check-budget 5",
    "report": "report LAB-p",
    "compare": "compare LAB-p LAB-p",
    "replay": "replay LAB-p --name LAB-r",
    "export": "export LAB-p",
    "samples": "samples LAB-p rpc",
    "sweep": "sweep plain.yml --name LAB-s --set workloads.rpc.count=1 --repeat 1",
    "hunt": "hunt chaos.yml --name LAB-h --runs 1 --command true",
    "impair": "impair LAB a b delay=10ms",
    "fault": "fault LAB b pause --for 10ms",
    "play": "play LAB played.yml",
    "events": "events LAB",
    "logs": "logs LAB a",
    "sockets": "sockets LAB",
    "capture": "capture LAB a --duration 10ms",
    "list": "list",
    "init": "init beginning",
    "validate": "validate pair.yml",
    "show": "show pair.yml",
    "graph": "graph pair.yml",
    "import": "import docker-compose.yml",
    "metrics": "metrics ping",
    "images": "images nginx",
    "doctor": "doctor",
}
CABLE = [
    "ip netns add LAB-a",
    "ip netns add LAB-b",
    "ip link add eth0 netns LAB-a type veth peer eth0 netns LAB-b",
    "ip -n LAB-a addr add 198.18.1.1/24 dev eth0",
    "ip -n LAB-b addr add 198.18.1.2/24 dev eth0",
    "ip -n LAB-a link set eth0 up",
    "ip -n LAB-b link set eth0 up",
]
IN_LINES = {"events", "logs", "samples"}


@pytest.fixture(scope="module")
def call(tmp_path_factory):
    """Calls a command where there are files, a run, a lab that is up, and two network namespaces with a cable."""
    directory = tmp_path_factory.mktemp("json")
    files = {
        "pair.yml": LAB,
        "plain.yml": PLAIN,
        "chaos.yml": PLAIN + CHAOS,
        "played.yml": LAB + TIMELINE,
        "docker-compose.yml": COMPOSE,
    }
    for name, text in files.items():
        (directory / name).write_text(text)
    lab = f"json-{secrets.token_hex(4)}"

    def called(words):
        argv = words.replace("LAB", lab).split()
        return subprocess.run(argv, cwd=directory, capture_output=True, text=True, check=False, timeout=WAIT_S)

    try:
        for words in (*CABLE, "testbed up pair.yml --name LAB", "testbed run plain.yml --name LAB-p"):
            done = called(words.replace("testbed", f"{sys.executable} -m testbed"))
            assert done.returncode == 0, done.stdout + done.stderr
        yield lambda words: called(f"{sys.executable} -m testbed {words}")
    finally:
        for name in (lab, f"{lab}-n"):
            called(f"{sys.executable} -m testbed down {name}")
        for end in "ab":
            called(f"ip netns del LAB-{end}")
    assert [left for end in ("", *"pnrsh") for left in remains(f"{lab}-{end}".rstrip("-"))] == []


def test_the_commands_without_it_are_known():
    commands = {name: cli.get_command(click.Context(cli), name) for name in COMMANDS}
    have = {name for name, each in commands.items() if each and "as_json" in {option.name for option in each.params}}
    assert have == WORDS.keys() == COMMANDS.keys() - WITHOUT


@pytest.mark.parametrize(
    "command", [pytest.param(name, marks=pytest.mark.servers if name == "images" else ()) for name in WORDS]
)
def test_a_command_prints_json_and_nothing_else(command, call):
    done = call(f"{WORDS[command]} --json")
    assert done.returncode in (0, 1), done.stdout + done.stderr  # 1 where a link could not be measured in time
    found = [json.loads(line) for line in done.stdout.splitlines()] if command in IN_LINES else json.loads(done.stdout)
    assert found


@pytest.mark.parametrize("command", WORDS)
def test_a_wrong_command_line_is_a_json_error(command, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["testbed", command, "--no-such-option", "--json"])
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr()
    error = json.loads(said.err)
    assert (ended.value.code, said.out) == (2, "")
    assert (error["exit_status"], error["error"]["code"]) == (2, "command-line")


@pytest.mark.parametrize("command", [name for name, words in WORDS.items() if words.split()[1:2] == ["LAB"]])
def test_a_lab_that_is_not_up_is_a_json_error(command, call):
    done = call(f"{WORDS[command].replace('LAB', 'no-such-lab', 1)} --json")
    assert (done.returncode, done.stdout) == (2, "")
    assert json.loads(done.stderr)["error"]["hint"]
