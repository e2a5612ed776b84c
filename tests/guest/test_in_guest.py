"""The tests marked `netem`, run where the kernel has netem: few hosts of CI do, the guest's kernel does."""

from __future__ import annotations

import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

HERE = Path(__file__).parent
SELECTION = ("-m", "netem", "--testbed-require=docker,netem", "tests", "--ignore=tests/guest")
LIMIT_S = 1800


@pytest.mark.guest
def test_tests_marked_netem_pass_in_the_guest(guest: None, cache: pytest.Cache) -> None:
    directory = cache.mkdir("guest")
    pytest_inside = (sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--color=no")
    boot = (HERE / "run-guest.sh", "-m", "3G", "-t", str(LIMIT_S), "-d", "-i", "testbed:latest", "--")
    inside = subprocess.run(
        [*boot, *pytest_inside, "--junit-xml=/run/out/junit.xml", *SELECTION],
        cwd=HERE.parents[1],
        env={**os.environ, "GUEST_DIR": str(directory)},
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    assert inside.returncode == 0, f"in the guest, exit status {inside.returncode}:\n{inside.stdout}"

    suite = ET.parse(directory / "out" / "junit.xml").getroot().find("testsuite")  # noqa: S314 -- our own pytest's
    assert suite is not None
    tests, skipped = int(suite.attrib["tests"]), int(suite.attrib["skipped"])
    assert tests > 0
    assert skipped == 0, f"{skipped} of {tests} tests were skipped where nothing may be:\n{inside.stdout}"
