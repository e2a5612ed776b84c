"""Brings labs up for tests and takes them down, once for all tests that share one."""

from __future__ import annotations

import secrets
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from testbed import interruption, pytest_plugin
from testbed.engines import ENGINES
from testbed.errors import MachineError, TestbedError
from testbed.pytest_plugin.lab_in_test import LabInTest
from testbed.pytest_plugin.wanted import SCOPES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from testbed.pytest_plugin.wanted import WantedLab

_SHARED = pytest.StashKey[dict[object, LabInTest]]()
_FAILURES = pytest.StashKey[dict[object, TestbedError]]()
"""Labs that could not come up: further tests that want the same do not try again."""

_OWNERS: dict[str, type[pytest.Collector]] = {
    "class": pytest.Class,
    "module": pytest.Module,
    "package": pytest.Directory,  # type: ignore[type-abstract]  # a folder, whether or not it has __init__.py
    "session": pytest.Session,
}


def provided(request: pytest.FixtureRequest, wanted: WantedLab, scope: str) -> Iterator[LabInTest]:
    """Yield the lab for a test, as a fixture does; see `testbed.pytest.lab_fixture`.

    Raises:
        pytest.UsageError: there is no such scope.
    """
    if scope not in SCOPES:
        raise pytest.UsageError(f"scope is {scope!r}, not one of {', '.join(SCOPES)}")
    owner = request.node.getparent(_OWNERS[scope]) if scope in _OWNERS else None
    if owner is None:
        yield _up(request, wanted, request.addfinalizer, shared=False)
        return
    shared = owner.stash.setdefault(_SHARED, {})
    if wanted.key not in shared:
        shared[wanted.key] = _up(request, wanted, owner.addfinalizer, shared=True)
        owner.addfinalizer(lambda: shared.pop(wanted.key))
    yield shared[wanted.key]


def provided_by_fixture(request: pytest.FixtureRequest, wanted: WantedLab) -> Iterator[LabInTest]:
    """Yield a lab that lasts as long as the fixture of the request."""
    yield _up(request, wanted, request.addfinalizer, shared=request.scope != "function")


def _up(
    request: pytest.FixtureRequest,
    wanted: WantedLab,
    at_the_end: Callable[[Callable[[], object]], None],
    *,
    shared: bool,
) -> LabInTest:
    """Bring a lab up, and register its end by `at_the_end` before a signal can interrupt."""
    failures = request.config.stash.setdefault(_FAILURES, {})
    name = f"{wanted.stem}-{secrets.token_hex(4)}"  # so that sessions side by side don't collide
    factory: pytest.TempPathFactory = request.getfixturevalue("tmp_path_factory")
    directory = factory.mktemp(name)  # before there is a lab, which would stay up if the disk is full
    with interruption.deferred():
        if wanted.key not in failures:
            try:
                lab = LabInTest.up(wanted.source, name=name, **dict(wanted.options))
            except TestbedError as error:
                failures[wanted.key] = error
        if wanted.key in failures:
            _refuse(request, wanted, failures[wanted.key])
        lab.remember_in(directory, shared=shared)
        at_the_end(partial(lab.end, request.config))
    lab.begin(packets=request.config.getoption("--testbed-packets"))
    return lab


def _refuse(request: pytest.FixtureRequest, wanted: WantedLab, error: TestbedError) -> NoReturn:
    """Skip or fail the test, because its lab could not come up."""
    if isinstance(error, MachineError):
        pytest_plugin.lacking(request.config, _capabilities(error, dict(wanted.options)), str(error))
    pytest.fail("\n".join([str(error), *getattr(error, "__notes__", ())]), pytrace=False)


def _capabilities(error: MachineError, options: dict[str, Any]) -> set[str]:
    """Return the capabilities that a lab was to have by name and whose absence may explain its failure."""
    if error.code == "engine-unavailable":
        return {name for name in ENGINES if f"engine {name} " in error.message}
    runtime = options.get("runtime")
    return {"docker", "netns"} if runtime in (None, "auto") else {runtime}
