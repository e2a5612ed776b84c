"""Labs in tests: `@pytest.mark.topology("lossy")` and the fixture `lab`.

    @pytest.mark.topology("lossy")
    def test_my_client_survives_loss(lab):
        assert lab["client"].run(["my-client", "server"]).status == 0

`testbed.pytest.lab_fixture` makes fixtures of other names. A lab that can't come up here skips the test with the
reason; with `--testbed-require=docker,netem` (the capabilities that must be there) it fails instead. Nothing heavy is
imported before a test asks for a lab.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from testbed.engines import ENGINES
from testbed.pytest_plugin import impairing
from testbed.pytest_plugin.wanted import OPTIONS, SCOPES, WantedLab

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from testbed.pytest_plugin.lab_in_test import LabInTest

CAPABILITIES = {
    "docker": "a Docker Engine that answers, and the testbed's image",
    "netns": "network namespaces, as root or in a user namespace",
    "userns": "user namespaces for an ordinary user",
    "machines": "root, to start Docker Engines beside this machine's, and time namespaces",
    "podman": "podman of root, and a Docker Engine with the testbed's image",
    "guest": "what it takes to boot a guest kernel",
    **{name: engine.needs for name, engine in ENGINES.items()},
}
"""What `--testbed-require` can ask for."""

_PACKETS = 20


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add our options."""
    group = parser.getgroup("testbed")
    group.addoption(
        "--testbed-require",
        metavar="CAPABILITIES",
        default="",
        help=f"fail instead of skip where one of these is lacking: {', '.join(CAPABILITIES)}; separated by commas",
    )
    group.addoption(
        "--testbed-keep", action="store_true", help="leave the labs of failed tests up, and say how to enter them"
    )
    group.addoption(
        "--testbed-packets",
        metavar="COUNT",
        type=int,
        default=_PACKETS,
        help=f"show so many of each node's last packets when a test fails (default: {_PACKETS}); 0 captures none",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register our markers and check our options."""
    config.addinivalue_line(
        "markers",
        f"topology(source, {', '.join(f'{name}=None' for name in OPTIONS)}, scope='function'): what the fixture `lab` "
        f"brings up: a topology by name, a file, or a Topology; and whose tests share it: {', '.join(SCOPES)}",
    )
    config.addinivalue_line(
        "markers",
        "impair(source, destination, lab='lab', **keys): change a link before the test; a list of values of a key "
        "repeats the test with each",
    )
    unknown = required(config) - CAPABILITIES.keys()
    if unknown:
        raise pytest.UsageError(f"--testbed-require: {', '.join(sorted(unknown))} is none of {', '.join(CAPABILITIES)}")


def required(config: pytest.Config) -> set[str]:
    """Return the capabilities whose absence is a failure instead of a skip."""
    return set(filter(None, config.getoption("--testbed-require").split(",")))


def lacking(config: pytest.Config, capabilities: set[str], reason: str) -> None:
    """Skip the running test because `capabilities` are missing, or fail it if one of them is required."""
    if capabilities & required(config):
        pytest.fail(f"required, but lacking: {reason}", pytrace=False)
    pytest.skip(reason)


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makeitem(collector: pytest.Collector, obj: object) -> None:
    """Give tests with an `impair` marker the fixture that carries it out; others don't pay for it."""
    impairing.use_fixture(collector, obj)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Repeat a test for each combination of the values of its `impair` markers."""
    impairing.parametrize(metafunc)


@pytest.fixture
def lab(request: pytest.FixtureRequest) -> Iterator[LabInTest]:
    """The lab of the test's `topology` marker, with a unique name; taken down after the last test that shares it."""
    from testbed.pytest_plugin import provision  # noqa: PLC0415  # not before a test asks for a lab

    marker = request.node.get_closest_marker("topology")
    if marker is None or len(marker.args) != 1:
        pytest.fail('the fixture `lab` needs its topology: @pytest.mark.topology("lossy")', pytrace=False)
    options = dict(marker.kwargs)
    scope = options.pop("scope", "function")
    try:
        yield from provision.provided(request, WantedLab.read(marker.args[0], request.path.parent, options), scope)
    except pytest.UsageError as error:  # the marker is wrong, and our code is not what its author has to read
        raise pytest.fail.Exception(str(error), pytrace=False) from None


@pytest.fixture(name=impairing.FIXTURE)
def _impaired(request: pytest.FixtureRequest) -> None:
    """Change links as the test's `impair` markers say."""
    impairing.impair(request)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add what the test's labs have seen to the report of a failed test, and figures to its properties."""
    report = yield
    if report.when == "call" or (report.when == "setup" and report.failed):
        for lab in labs_of(item) if report.when == "call" else _labs_in_setup(item):
            item.user_properties += lab.properties()
            report.user_properties = item.user_properties
            if report.failed:
                report.sections += lab.failed(item)
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> None:
    """Restore labs that further tests share to what their topologies say."""
    for lab in labs_of(item):
        lab.after_test()


def labs_of(item: pytest.Item) -> list[LabInTest]:
    """Return the labs among the values of a test's fixtures."""
    values = getattr(item, "funcargs", {}).values()
    return [value for value in values if _is_lab(value)]


def _labs_in_setup(item: pytest.Item) -> list[LabInTest]:
    """Return the labs that are up for a test, one of whose other fixtures failed."""
    info = getattr(item, "_fixtureinfo", None)  # a test of another plugin's may have none
    definitions = [each for several in info.name2fixturedefs.values() for each in several] if info else []
    values = [each.cached_result[0] for each in definitions if each.cached_result]
    return [value for value in values if _is_lab(value)]


def _is_lab(value: object) -> bool:
    """Whether a value is a lab, without importing what labs are made of."""
    return type(value).__module__ == "testbed.pytest_plugin.lab_in_test"


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Pass the labs that are left up to the main process, if this is a worker of pytest-xdist."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output[_KEPT_BY_WORKER] = session.config.stash.get(KEPT, [])


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:  # noqa: ANN401  # of pytest-xdist, which need not be there
    """Take over the labs that a worker of pytest-xdist leaves up."""
    kept = getattr(node, "workeroutput", {}).get(_KEPT_BY_WORKER, ())
    node.config.stash.setdefault(KEPT, []).extend((name, first) for name, first in kept)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say how to enter the labs that are left up."""
    if kept := config.stash.get(KEPT, []):
        terminalreporter.section("labs that are left up")
        for name, node in kept:
            terminalreporter.write_line(f"testbed shell {name} {node}     testbed down {name}")


_KEPT_BY_WORKER = "testbed_kept"

KEPT = pytest.StashKey[list[tuple[str, str]]]()
"""The name of each lab that was left up, and one of its nodes."""
