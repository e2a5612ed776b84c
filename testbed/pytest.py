"""For conftest.py: fixtures that are labs.

from testbed.pytest import lab_fixture

shop = lab_fixture("shop.yml", scope="module", runtime="docker")
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from testbed.pytest_plugin.wanted import WantedLab

if TYPE_CHECKING:
    from collections.abc import Iterator

    from testbed.pytest_plugin.lab_in_test import LabInTest
    from testbed.topology import Topology

__all__ = ["lab_fixture"]


def lab_fixture(source: Topology | Path | str, *, scope: Any = "function", **options: Any) -> Any:  # noqa: ANN401  # pytest's
    """Return a fixture that is a lab, up before the first test that uses it and down after the last of its scope.

    Between tests that share it, its links get the impairments of the topology back.

    Args:
        source: a topology by name, a file (looked for beside the calling file, then in the working directory), or a
            `Topology`.
        scope: of the fixture, as `pytest.fixture` has it.
        options: `runtime`, `engine`, `seed`, as `testbed.lab.Lab.up` has them.

    Raises:
        pytest.UsageError: there is no such option.
    """
    caller = Path(sys._getframe(1).f_globals.get("__file__", "."))  # noqa: SLF001  # nothing else knows the file
    wanted = WantedLab.read(source, caller.parent, options)

    @pytest.fixture(scope=scope)
    def lab(request: pytest.FixtureRequest) -> Iterator[LabInTest]:
        from testbed.pytest_plugin import provision  # noqa: PLC0415  # not before a test asks for a lab

        yield from provision.provided_by_fixture(request, wanted)

    return lab
