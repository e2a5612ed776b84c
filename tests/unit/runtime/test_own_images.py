"""Builds of the testbed's own images that begin at the same time."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

BUILD = """
import pathlib, sys
from testbed.runtime.docker import own_images

package, log = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
own_images._PACKAGE = package
own_images.DockerEngine = lambda: type("Engine", (), {"api": None})
own_images._described = lambda api, name: name
assert own_images.build(["testbed"]) == ["testbed"]
"""

SCRIPT = """#!/bin/sh
directory=$(dirname "$0")
echo begun >> LOG
for i in 1 2 3 4 5 6 7 8 9 10; do
    [ "$(cat "$directory/../testbed/file")" = there ] || exit 1
    sleep 0.1
done
echo ended >> LOG
"""


@pytest.fixture
def package(tmp_path):
    """An installed package, whose script needs for a second what it is given."""
    made = tmp_path / "package"
    for name in ("images", "topologies"):
        (made / name).mkdir(parents=True)
    (made / "file").write_text("there\n")
    (made / "images" / "build").write_text(SCRIPT.replace("LOG", str(tmp_path / "log")))
    return made


def test_builds_at_the_same_time_wait_for_each_other(package, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    log: Path = tmp_path / "log"
    begun = []
    for number in range(3):
        begun.append(subprocess.Popen([sys.executable, "-c", BUILD, package, log]))
        deadline = time.monotonic() + 60
        while not number and not log.exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
    assert [process.wait(60) for process in begun] == [0, 0, 0]
    assert log.read_text().split() == ["begun", "ended"] * 3
