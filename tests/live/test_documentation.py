"""The examples of the documentation, extracted from its pages and run as a reader would run them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.documentation import PAGES, blocks, session

pytestmark = [pytest.mark.live, pytest.mark.netns]

TOPOLOGY = "mine"
"""The name of every page's topology, in whose place a lab of its own comes up."""

WIDTH = "118"  # of the terminal whose output the pages show
LIMIT_S = 180
DEPENDS_ON_THE_MACHINE = ("testbed check", "testbed run")  # end with 1 where a link or an expectation fails

RUNNABLE = [
    page
    for page in PAGES
    if any(block.language in ("console", "python") and not block.exempt for block in blocks(page))
]


def labels(lines):
    """The words that lines begin with; metrics aside, of which those that are equal in two runs are not listed."""
    return {word[0] for line in lines if (word := re.match(r"[A-Za-z]+\b(?!\.)", line))}


def run(argv, directory):
    environment = {**os.environ, "COLUMNS": WIDTH, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    return subprocess.run(
        argv, cwd=directory, env=environment, capture_output=True, text=True, timeout=LIMIT_S, check=False
    )


def follow(block, directory, renamed):
    """Do what a block shows: save it, run its program, or run its commands and compare what they print."""
    if block.title:
        (directory / renamed(block.title)).write_text(renamed(block.text))
    elif block.language == "python":
        done = run([sys.executable, "-c", renamed(block.text)], directory)
        assert done.returncode == 0, done.stdout + done.stderr
    elif block.language == "console":
        for command, shown in session(block.text):
            done = run(["bash", "-c", renamed(command)], directory)
            allowed = (0, 1) if command.startswith(DEPENDS_ON_THE_MACHINE) else (0,)
            assert done.returncode in allowed, f"$ {command}\n{done.stdout}{done.stderr}"
            expected = labels(renamed("\n".join(shown)).splitlines())
            assert expected <= labels(done.stdout.splitlines()), f"$ {command}\n{done.stdout}{done.stderr}"


@pytest.mark.parametrize("page", RUNNABLE, ids=lambda page: page.stem)
def test_a_page_can_be_followed(page, tmp_path, lab_name):
    def renamed(text):
        return re.sub(rf"\b{TOPOLOGY}\b", lab_name, text)

    try:
        for block in blocks(page):
            if not block.exempt:
                follow(block, tmp_path, renamed)
    finally:
        run(["testbed", "down", lab_name], tmp_path)


def test_the_first_page_has_every_everyday_command():
    [page] = [page for page in PAGES if page.stem == "first-lossy-link"]
    commands = [line for block in blocks(page) if block.language == "console" for line, _ in session(block.text)]
    everyday = {"up", "ps", "exec", "impair", "check", "run", "sockets", "logs", "report", "compare", "down"}
    assert everyday <= {command.split()[1] for command in commands}


def test_the_site_is_built(tmp_path):
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", tmp_path],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    assert {"index.html", "search"} <= {path.name for path in tmp_path.iterdir()}
    notebook = (tmp_path / "tutorial" / "in-a-notebook.html").read_text()
    assert "links, requested: measured" in notebook  # what its cells have shown
    assert not re.search(r"<(?:script|link)[^>]+(?:src|href)=.https?:", notebook)  # no request to other servers
