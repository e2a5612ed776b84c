"""Labs in tests: `@pytest.mark.topology("lossy")` and the fixture `lab`.

    @pytest.mark.topology("lossy")
    def test_my_client_survives_loss(lab):
        assert lab["client"].run(["my-client", "server"]).status == 0

A lab that can't come up here skips the test with the reason; with `--testbed-require=docker,netem` (or whatever it must
be) it fails instead. Nothing heavy is imported before a test asks for a lab.
"""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING, Any

import pytest

from testbed.engines import ENGINES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from testbed.errors import MachineError
    from testbed.lab import Lab

CAPABILITIES = {
    "docker": "a Docker Engine that answers, and the testbed's image",
    "netns": "network namespaces, as root or in a user namespace",
    "userns": "user namespaces for an ordinary user",
    "podman": "podman of root, and a Docker Engine with the testbed's image",
    "guest": "what it takes to boot a guest kernel",
    **{name: engine.needs for name, engine in ENGINES.items()},
}
"""What `--testbed-require` can ask for."""

_OPTIONS = ("runtime", "engine", "seed")
"""What the marker takes beside the topology."""

_NAME_LENGTH = 20
_LOG_LINES = 50


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add our option."""
    parser.getgroup("testbed").addoption(
        "--testbed-require",
        metavar="CAPABILITIES",
        default="",
        help=f"fail instead of skip where one of these is lacking: {', '.join(CAPABILITIES)}; separated by commas",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register our marker and check our option."""
    config.addinivalue_line(
        "markers",
        "topology(source, runtime=None, engine=None, seed=None): what the fixture `lab` brings up: a topology by name, "
        "a file, or a Topology",
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


@pytest.fixture
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    """The lab of the test's `topology` marker: up before the test, down after it, with a unique name."""
    from testbed.errors import MachineError, TestbedError  # noqa: PLC0415  # not before a test asks for a lab
    from testbed.lab import Lab  # noqa: PLC0415

    marker = request.node.get_closest_marker("topology")
    if marker is None or len(marker.args) != 1:
        raise pytest.UsageError('the fixture `lab` wants to know which: @pytest.mark.topology("lossy")')
    if unknown := sorted(marker.kwargs.keys() - _OPTIONS):
        raise pytest.UsageError(f"the marker `topology` takes {', '.join(_OPTIONS)}, and not {', '.join(unknown)}")
    name = f"{_stem(marker.args[0])}-{secrets.token_hex(4)}"
    try:
        up = Lab.up(marker.args[0], name=name, **marker.kwargs)
    except MachineError as error:
        lacking(request.config, _wanted(error, marker.kwargs), str(error))
    except TestbedError as error:
        pytest.fail("\n".join([str(error), *getattr(error, "__notes__", ())]), pytrace=False)
    with up:
        yield up


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Add the output of nodes to the report of a failed test."""
    outcome: Any = yield
    report: pytest.TestReport = outcome.get_result()
    up: Any = getattr(item, "funcargs", {}).get("lab")
    if report.when == "call" and report.failed and type(up).__module__ == "testbed.lab.lab":
        for node, log in up.log_ends():
            last = log.decode(errors="replace").splitlines()[-_LOG_LINES:]
            report.sections.append((f"Log of node {node}", "\n".join(last)))


def _stem(source: Any) -> str:  # noqa: ANN401  # whatever Lab.up takes
    """Return the part of a lab's name that describes it."""
    text = getattr(source, "name", None) or str(source)
    stem = re.sub(r"[^a-z0-9]+", "-", text.rsplit("/", 1)[-1].removesuffix(".yml").lower()).strip("-")
    return stem[:_NAME_LENGTH].strip("-") or "lab"


def _wanted(error: MachineError, options: dict[str, Any]) -> set[str]:
    """Return the capabilities that a lab asked for by name and whose absence may explain its failure."""
    if error.code == "engine-unavailable":
        return {name for name in ENGINES if f"engine {name} " in error.message}
    runtime = options.get("runtime")
    return {"docker", "netns"} if runtime in (None, "auto") else {runtime}
