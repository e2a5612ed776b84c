"""The examples for GitHub Actions and GitLab CI, and the action, have commands that exist with the options they use."""

import re
import shlex

import click
import pytest
import yaml

from testbed.cli import COMMANDS, cli
from tests.conftest import ROOT

FILES = [ROOT / "action.yml", *sorted((ROOT / "examples" / "ci").glob("*.yml"))]


def scripts(part):
    """All texts of a file that a shell runs."""
    if isinstance(part, dict):
        for name, value in part.items():
            if name == "run":
                yield value
            elif name in ("script", "before_script"):
                yield from value
            else:
                yield from scripts(value)
    elif isinstance(part, list):
        for value in part:
            yield from scripts(value)


def calls(path):
    """The words of each call of testbed in a file."""
    for script in scripts(yaml.safe_load(path.read_text())):
        text = script.replace("\\\n", " ").replace('"$(command -v testbed)"', "testbed")
        for words in map(shlex.split, text.splitlines()):
            starts = [number for number, word in enumerate(words) if word.split("/")[-1] == "testbed"]
            yield from (words[number + 1 :] for number in starts)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_calls_are_of_commands_and_options_that_exist(path):
    found = [call for call in calls(path) if call and call[0] in COMMANDS]
    assert any(call[0] == "run" for call in found)
    for name, *words in found:
        command = cli.get_command(click.Context(cli), name)
        assert command is not None
        options = {option for param in command.params for option in param.opts}
        assert {word for word in words if word.startswith("--")} <= options


@pytest.mark.parametrize("path", FILES[1:], ids=lambda path: path.name)
def test_tests_are_required_to_run_as_in_the_project_s_own_ci(path):
    requirement = re.compile(r"--testbed-require=\S+")
    assert requirement.search((ROOT / ".ci" / "run").read_text())
    assert requirement.search(path.read_text())
