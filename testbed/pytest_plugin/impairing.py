"""The marker `impair`: links that are changed before a test, which is repeated for each value of a list.

@pytest.mark.impair("client", "server", loss=["0%", "5%"])
"""

from __future__ import annotations

from itertools import product
from types import FunctionType
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from testbed.errors import TestbedError

if TYPE_CHECKING:
    from testbed.pytest_plugin.lab_in_test import LabInTest

FIXTURE = "_testbed_impaired"
"""The fixture that carries out the changes of a test."""

_OF_ALL = pytest.StashKey[bool]()
"""Of a class, a module or a package: whether it has the marker."""

_ENDS = 2


class LinkInTest(NamedTuple):
    """Keys of a link with the values that they are to have, in the lab of that fixture."""

    lab: str
    source: str
    destination: str
    keys: dict[str, Any]

    def __str__(self) -> str:
        """The change as a part of the test's name."""
        keys = ",".join(f"{name}={value}" for name, value in self.keys.items())
        return f"{self.source}-{self.destination}-{keys}"


def use_fixture(collector: pytest.Collector, obj: object) -> None:
    """Let a test function use the fixture if it, its class, its module or its package has the marker."""
    function = getattr(obj, "__func__", obj)  # of a bound method
    if not isinstance(function, FunctionType):
        return
    if (of_all := collector.stash.get(_OF_ALL, None)) is None:
        of_all = collector.stash[_OF_ALL] = collector.get_closest_marker("impair") is not None
    if of_all or any(mark.name == "impair" for mark in getattr(function, "pytestmark", ())):
        pytest.mark.usefixtures(FIXTURE)(function)


def parametrize(metafunc: pytest.Metafunc) -> None:
    """Repeat a test for each combination of the values of its markers.

    Raises:
        pytest.fail.Exception: a marker has not two nodes, or no keys.
    """
    if FIXTURE not in metafunc.fixturenames:
        return
    markers = [*metafunc.definition.iter_markers("impair")]
    if any(len(marker.args) != _ENDS or not marker.kwargs.keys() - {"lab"} for marker in markers):
        said = 'impair takes two nodes and keys of a link: impair("client", "server", loss="5%")'
        pytest.fail(f"In {metafunc.definition.nodeid}: {said}", pytrace=False)
    combinations = [*product(*map(_changes, markers))]
    metafunc.parametrize(FIXTURE, combinations, ids=lambda changes: "-".join(map(str, changes)), indirect=True)


def _changes(marker: pytest.Mark) -> list[LinkInTest]:
    keys = dict(marker.kwargs)
    lab = keys.pop("lab", "lab")
    values = [value if isinstance(value, list | tuple) else [value] for value in keys.values()]
    source, destination = marker.args
    return [LinkInTest(lab, source, destination, dict(zip(keys, chosen, strict=True))) for chosen in product(*values)]


def impair(request: pytest.FixtureRequest) -> None:
    """Carry out the changes of a test's parameter, if it has one; the lab undoes them after the test."""
    changes: tuple[LinkInTest, ...] = getattr(request, "param", ())
    asked_for = {*request.fixturenames}
    for change in changes:
        lab: LabInTest = request.getfixturevalue(change.lab)
        if change.lab not in asked_for:  # then it is not among the test's labs, whose links are given back
            request.addfinalizer(lab.after_test)
        try:
            lab.link(change.source, change.destination).update(**change.keys)
        except TestbedError as error:
            raise pytest.fail.Exception(f"{change}: {error}", pytrace=False) from None
