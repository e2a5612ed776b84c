"""What is not done to bring up a small lab, so that it takes no longer than it must: imports, calls of the agent."""

from __future__ import annotations

import subprocess
import sys

import pytest

from testbed.agent.client_connection import ClientConnection
from testbed.lab import Lab
from testbed.topology import loads
from tests.live.command_line import WAIT_S

pytestmark = [pytest.mark.live, pytest.mark.netns]

PLAIN = "name: light\nnodes: {a: , b: }\n"
LINKED = f"{PLAIN}links: [{{from: a, to: b, delay: 5ms}}]\n"

NEVER = {
    "asyncio",
    "concurrent.futures.thread",
    "docker",
    "http.client",
    "jinja2",
    "pyroute2",
    "rich",
    "testbed.agent.journal.undo",
    "testbed.analysis",
    "testbed.check",
    "testbed.runs",
    "testbed.runtime.namespaces",
    "testbed.topology.events",
    "testbed.topology.timeline_state",
    "testbed.topology.workloads",
    "testbed.workloads",
}
"""What `testbed up` imports for no file without workloads and a timeline."""

LINKS = {"testbed.topology.impairments", "testbed.topology.link_entries"}
"""What it imports only for a file that has links."""

MAIN = """
import sys
from testbed.__main__ import main
try:
    main()
finally:
    print(*sys.modules, file=sys.stderr)
"""


def modules(*arguments):
    """What a command has imported when it ends."""
    command = [sys.executable, "-c", MAIN, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=WAIT_S)
    assert done.returncode == 0, done.stderr
    return {*done.stderr.split()}


@pytest.mark.parametrize(("text", "unneeded"), [(PLAIN, NEVER | LINKS), (LINKED, NEVER)])
def test_a_small_lab_comes_up_without_imports_for_others(text, unneeded, lab_name, tmp_path):
    file = tmp_path / "light.yml"
    file.write_text(text)
    up = modules("up", str(file), "--name", lab_name, "--runtime", "netns")
    down = modules("down", lab_name)
    assert "testbed.topology" in up
    assert up & unneeded == set()
    assert down & (NEVER | LINKS | {"pydantic", "testbed.topology"}) == set()


def test_an_agent_is_ready_without_what_only_some_labs_need():
    command = [sys.executable, "-X", "importtime", "-m", "testbed.agent", "--ahead"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True)
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert done.stdout == "ready\n"
    assert "testbed.agent.links" in imported
    assert imported & {"http.client", "pydantic", "pyroute2", "tempfile", "testbed.engines.userspace"} == set()


def test_a_small_lab_takes_few_calls_of_the_agent(lab_name, monkeypatch):
    calls = []
    send = ClientConnection.send

    def noting(self, message, fds=()):
        calls.append(message.call)
        send(self, message, fds)

    monkeypatch.setattr(ClientConnection, "send", noting)
    with Lab.up(loads(LINKED, "light.yml"), name=lab_name, runtime="netns"):
        assert calls == ["create", "hello", "hello", "impair", "remember", "hello"]
