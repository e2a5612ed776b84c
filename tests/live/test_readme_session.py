"""The examples of README.md, extracted from it and run as a reader would run them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

pytestmark = [pytest.mark.live, pytest.mark.netns]

README = (ROOT / "README.md").read_text()
TOPOLOGY = "mine"
WIDTH = "118"  # of the terminal whose output README.md shows
LIMIT_S = 120
DEPENDS_ON_THE_MACHINE = ("testbed check", "testbed run")  # end with 1 where a link or an expectation fails


def blocks(language):
    """The code blocks of a language in README.md."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def only(candidates, beginning):
    """The one code block that begins with this text, without comments."""
    (block,) = [block for block in candidates if re.sub(r"\A#.*\n", "", block).startswith(beginning)]
    return block


def session():
    """The commands of the session in README.md, each with the output shown below it."""
    for line in "".join(blocks("console")).splitlines():
        if line.startswith("$ "):
            output: list[str] = []
            yield line.removeprefix("$ "), output
        else:
            output.append(line)


def labels(lines):
    """The words that lines begin with; metrics aside, of which those that are equal in two runs are not listed."""
    return {word[0] for line in lines if (word := re.match(r"[A-Za-z]+\b(?!\.)", line))}


@pytest.fixture
def directory(tmp_path, lab_name):
    """A directory with the topology of README.md, under a name of its own."""
    renamed(only(blocks("yaml"), f"name: {TOPOLOGY}\n"), lab_name, tmp_path / f"{lab_name}.yml")
    return tmp_path


def renamed(text, lab_name, path=None):
    text = re.sub(rf"\b{TOPOLOGY}\b", lab_name, text)
    if path:
        path.write_text(text)
    return text


def run(argv, directory, **options):
    environment = {**os.environ, "COLUMNS": WIDTH, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    return subprocess.run(
        argv, cwd=directory, env=environment, capture_output=True, text=True, timeout=LIMIT_S, check=False, **options
    )


def test_the_session_runs_as_shown(directory, lab_name):
    try:
        for command, shown in session():
            done = run(["bash", "-c", renamed(command, lab_name)], directory)
            allowed = (0, 1) if command.startswith(DEPENDS_ON_THE_MACHINE) else (0,)
            assert done.returncode in allowed, f"$ {command}\n{done.stdout}{done.stderr}"
            expected = labels(renamed("\n".join(shown), lab_name).splitlines())
            assert expected <= labels(done.stdout.splitlines()), f"$ {command}\n{done.stdout}{done.stderr}"
    finally:
        run(["testbed", "down", lab_name], directory)


def test_the_session_has_every_everyday_command():
    everyday = {"up", "ps", "exec", "impair", "check", "run", "sockets", "logs", "report", "compare", "down"}
    assert everyday <= {command.split()[1] for command, _ in session()}


def test_the_python_example_runs(directory, lab_name):
    example = renamed(only(blocks("python"), "from testbed import Lab"), lab_name)
    done = run([sys.executable, "-c", example], directory)
    assert done.returncode == 0, done.stderr
    assert "1 received" in done.stdout or "0 received" in done.stdout  # its one ping may be lost
    assert "delay 80 ms" in done.stdout
    assert (directory / "results" / lab_name).is_dir()


def test_the_pytest_example_passes(directory, lab_name):
    example = renamed(only(blocks("python"), "import re\n"), lab_name)
    (directory / "test_example.py").write_text(example)
    done = run([sys.executable, "-m", "pytest", "-q", "test_example.py", "--testbed-require=netns"], directory)
    assert done.returncode == 0, done.stdout
    assert "4 passed" in done.stdout


def test_the_topology_built_in_python_comes_up(directory, lab_name):
    example = renamed(only(blocks("python"), "import testbed\n"), lab_name)
    done = run([sys.executable, "-c", example], directory)
    assert done.stdout == "<link client -> server: delay 40 ms, loss 2 %>\n", done.stderr
