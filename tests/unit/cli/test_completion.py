"""Completion as shells ask for it: `testbed` with variables of click's."""

import os
import subprocess
import sys

import click
import pytest

from testbed.cli import COMMANDS, cli, completion

MEANT = {
    "LAB": completion.LabName,
    "[LAB]": completion.LabName,
    "NODE": completion.NodeName,
    "FROM": completion.LinkEndName,
    "TO": completion.LinkEndName,
    "TOPOLOGY": completion.TopologyName,
    "TOPOLOGY...": completion.TopologyName,
    "TOPOLOGY|LAB": completion.TopologyOrLabName,
}
"""What arguments with these names stand for."""


def completed(*words, directory=None, code="from testbed.cli import main; main()"):
    """What a shell offers for the last word."""
    environment = {
        **os.environ,
        "_TESTBED_COMPLETE": "bash_complete",
        "COMP_WORDS": " ".join(["testbed", *words]),
        "COMP_CWORD": str(len(words)),
    }
    command = [sys.executable, "-c", f"import sys; sys.argv[0] = 'testbed'; {code}"]
    done = subprocess.run(command, env=environment, cwd=directory, capture_output=True, text=True, check=False)
    assert not done.stderr, done.stderr
    return done.stdout.split()


def test_commands():
    assert {"plain,impair", "plain,import"} <= {*completed("im")}


def test_topologies_that_ship_and_those_of_the_working_directory(tmp_path):
    (tmp_path / "topologies").mkdir()
    (tmp_path / "topologies" / "lounge.yml").touch()
    assert completed("up", "lo", directory=tmp_path) == ["plain,lossy", "plain,lounge", "file,lo"]


def test_options_and_topologies_after_them():
    assert "plain,--runtime" in completed("run", "--r")
    assert "plain,lossy" in completed("run", "--runtime", "netns", "loss")


def test_words_of_arguments_need_none_of_the_libraries():
    loaded = "print(*{'pydantic', 'rich', 'docker'} & {*sys.modules})"
    ask = f"import testbed.cli as c\ntry: c.main()\nexcept SystemExit: {loaded}"
    assert completed("down", "no-such-lab", code=f"exec({ask!r})") == []


def test_nodes_of_a_lab_that_is_not_up_are_none():
    assert completed("exec", "no-such-lab", "") == []


@pytest.mark.parametrize("name", COMMANDS)
def test_all_arguments_that_name_something_are_completed(name):
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    arguments = [param for param in command.params if isinstance(param, click.Argument)]
    named = [MEANT.get((argument.metavar or argument.name).upper()) for argument in arguments]
    while named and named[-1] is None:
        named.pop()
    assert [type(word) for word in completion.ARGUMENTS.get(name, ())] == named


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_scripts_ask_as_these_tests_do(shell):
    done = subprocess.run(
        [sys.executable, "-m", "testbed", "completion", shell], capture_output=True, text=True, check=True
    )
    assert "_TESTBED_COMPLETE" in done.stdout
