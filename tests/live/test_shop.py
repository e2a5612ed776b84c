"""A shop of nginx, a Python application and Redis: attached, scaled, restarted, and with a sidecar that is killed."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess

import pytest

from testbed.errors import LabError, MachineError, UsageError
from testbed.lab import Lab
from testbed.runtime.docker import compose
from testbed.runtime.state import LabDirectory
from tests.conftest import ROOT
from tests.live.command_line import PATIENCE_S, eventually, run
from tests.live.others import docker, snapshot
from tests.live.shop import copied, shop

try:
    compose.program()
except MachineError as missing:
    pytest.skip(missing.message, allow_module_level=True)

pytestmark = [pytest.mark.docker, pytest.mark.live]

ROUND_TRIP_MS = 40
"""Of links with a delay of 20 ms in both directions."""


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return copied(tmp_path_factory.mktemp("shop") / "files")


def requests_seen(made, count):
    """Times between TCP segments with data to the database and its answers' arrival, as tcpdump sees them in `app`.

    Of a request that was sent again because the machine was busy, the first time counts.
    """
    tcpdump = [
        "tcpdump",
        "-n",
        "-tt",
        "-i",
        "eth0",
        "-c",
        str(2 * count),
        "tcp port 6379 and tcp[tcpflags] & tcp-push != 0",
    ]
    argv = ["nsenter", "-t", str(made.pid("app-1")), "-n", "--", "timeout", "30", *tcpdump]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as program:
        assert program.stderr
        assert any("listening" in line for line in program.stderr)
        for _ in range(count):
            docker("exec", made.container("app-1"), "redis-cli", "-h", "db", "ping")
        told, _ = program.communicate()
    sent: dict[str, float] = {}
    for at, source, destination in re.findall(r"^([\d.]+) IP (\S+) > (\S+):", told, re.MULTILINE):
        if destination.endswith(".6379"):
            sent.setdefault(source, float(at))
        elif (first := sent.pop(destination, None)) is not None:
            yield (float(at) - first) * 1e3


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can have a local process as the agent of containers")
def test_attach_scale_restart_kill_detach(directory, lab_name):
    with shop(lab_name, directory) as made:
        before, fast = snapshot(made, "app-1", "db-1"), made.benchmark()
        assert made.shortest("app-1", "db-1") < ROUND_TRIP_MS
        done = run("attach", lab_name, "--link", "app,db", "delay=20ms")
        assert done.returncode == 0, done.stderr + done.stdout
        assert made.shortest("app-1", "db-1") >= ROUND_TRIP_MS
        assert made.shortest("web-1", "db-1") < ROUND_TRIP_MS
        assert made.benchmark() <= 1e3 / ROUND_TRIP_MS < fast
        assert min(requests_seen(made, 3)) >= ROUND_TRIP_MS

        made.compose("up", "-d", "--no-build", "--no-recreate", "--scale", "app=3")
        for which in ("app-2", "app-3"):
            assert made.shortest(which, "db-1") >= ROUND_TRIP_MS
        docker("restart", "-t0", made.container("db-1"))
        assert eventually(lambda: not Lab.attach(lab_name).attachments().problems)
        for which in ("app-1", "app-3"):
            assert made.shortest(which, "db-1") >= ROUND_TRIP_MS

        agent = Lab.attach(lab_name).agent.hello().pid
        os.kill(agent, signal.SIGKILL)
        assert eventually(lambda: made.shortest("app-1", "db-1") < ROUND_TRIP_MS)
        made.compose("up", "-d", "--no-build", "--no-recreate", "--scale", "app=1")
        assert run("detach", lab_name).returncode == 0
        assert made.shortest("app-1", "db-1") < ROUND_TRIP_MS
        assert made.benchmark() > 1e3 / ROUND_TRIP_MS
        assert differences(before, snapshot(made, "app-1", "db-1")) == []


def differences(before, after):
    """Lines of two snapshots that are not in both, without names and numbers that a restarted container has anew."""
    plain = [
        {re.sub(r"veth\w+|(?:[0-9a-f]{2}:){5}[0-9a-f]{2}|\d+", "#", line) for line in lines}
        for lines in (before, after)
    ]
    return sorted(line for line in plain[0] ^ plain[1] if "neighbour" not in line)


@pytest.fixture
def sidecar(directory, lab_name):
    """The shop with its sidecar, which runs this code and calls its lab by the test's name."""
    (directory / "here.yml").write_text(
        json.dumps(
            {
                "version": "3.8",
                "services": {
                    "testbed": {
                        "volumes": [f"{ROOT}/testbed:/usr/local/lib/python3.11/dist-packages/testbed:ro"],
                        "command": ["testbed", "attach", "--file", "/topology.yml", "--wait", "--name", lab_name],
                    }
                },
            }
        )
    )
    with shop(lab_name, directory, "testbed.yml", "here.yml") as made:
        yield made
    run("down", lab_name)


def wrote(made, text):
    return text in docker("logs", made.container("testbed-1"))


def test_a_sidecar_impairs_its_neighbours_as_long_as_it_runs(sidecar, lab_name):
    assert eventually(lambda: wrote(sidecar, "2 links are impaired")), docker("logs", sidecar.container("testbed-1"))
    assert sidecar.shortest("app-1", "db-1") >= ROUND_TRIP_MS
    docker("restart", "-t0", sidecar.container("app-1"))
    assert eventually(lambda: wrote(sidecar, "again"))
    assert sidecar.shortest("app-1", "db-1") >= ROUND_TRIP_MS

    sidecar.compose("stop", "-t", str(PATIENCE_S), "testbed")
    assert sidecar.inspect("testbed-1")["State"]["ExitCode"] == 0
    assert sidecar.shortest("app-1", "db-1") < ROUND_TRIP_MS
    assert not docker("ps", "-aq", "--filter", f"label=testbed.lab={lab_name}")

    docker("stop", "-t0", sidecar.container("db-1"))
    docker("start", sidecar.container("testbed-1"))
    assert eventually(lambda: wrote(sidecar, "does not run"))
    docker("start", sidecar.container("db-1"))
    assert eventually(lambda: docker("logs", sidecar.container("testbed-1")).count("2 links are impaired") == 2)
    assert sidecar.shortest("app-1", "db-1") >= ROUND_TRIP_MS

    docker("kill", sidecar.container("testbed-1"))
    assert eventually(lambda: sidecar.shortest("app-1", "db-1") < ROUND_TRIP_MS)
    docker("start", sidecar.container("testbed-1"))
    assert eventually(lambda: docker("logs", sidecar.container("testbed-1")).count("2 links are impaired") == 3)
    assert sidecar.shortest("app-1", "db-1") >= ROUND_TRIP_MS
    assert not LabDirectory("docker", lab_name).path.exists()

    docker("kill", f"testbed-{lab_name}.agent")
    assert docker("wait", sidecar.container("testbed-1")) == str(LabError.exit_code)
    assert eventually(lambda: sidecar.shortest("app-1", "db-1") < ROUND_TRIP_MS)


def test_a_file_without_a_project_is_of_a_container_in_one(directory):
    done = run("attach", "--file", str(directory / "slow-links.yml"))
    assert done.returncode == UsageError.exit_code
    assert "this command runs in no container of one" in done.stderr
