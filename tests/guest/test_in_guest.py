"""The tests marked `netem`, run where the kernel has netem: few hosts of CI do, the guest's kernel does."""

from __future__ import annotations

import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
OPTIONS = ("-m", "netem", "--testbed-require=docker,netem", "--ignore=tests/guest")
LIMIT_S = 1800


def suite_of(report: Path) -> ET.Element:
    """Return what pytest in the guest has reported of all tests."""
    suite = ET.parse(report).getroot().find("testsuite")  # noqa: S314 -- our own pytest's
    assert suite is not None
    return suite


def failed(report: Path) -> Iterator[str]:
    """Yield the names, for pytest, of the tests that failed in the guest the last time."""
    for case in suite_of(report).iter("testcase"):
        if case.find("failure") is not None or case.find("error") is not None:
            yield f"{case.attrib['classname'].replace('.', '/')}.py::{case.attrib['name']}"


@pytest.mark.guest
def test_tests_marked_netem_pass_in_the_guest(guest: None, cache: pytest.Cache, pytestconfig: pytest.Config) -> None:
    directory = cache.mkdir("guest")
    report = directory / "out" / "junit.xml"
    again = list(failed(report)) if pytestconfig.getoption("lf") and report.exists() else []
    pytest_inside = (sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--color=no")
    boot = (HERE / "run-guest.sh", "-m", "3G", "-t", str(LIMIT_S), "-d", "-i", "testbed:latest", "--")
    inside = subprocess.run(
        [*boot, *pytest_inside, "--junit-xml=/run/out/junit.xml", *OPTIONS, *(again or ["tests"])],
        cwd=HERE.parents[1],
        env={**os.environ, "GUEST_DIR": str(directory)},
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    assert inside.returncode == 0, f"in the guest, exit status {inside.returncode}:\n{inside.stdout}"

    suite = suite_of(report)
    tests, skipped = int(suite.attrib["tests"]), int(suite.attrib["skipped"])
    assert tests > 0
    assert skipped == 0, f"{skipped} of {tests} tests were skipped where nothing may be:\n{inside.stdout}"
