"""What this machine can do, probed for real; and that no test leaves anything of a lab behind."""

from __future__ import annotations

import functools
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import hypothesis
import pytest

from testbed import codec
from testbed.agent.messages import EngineReport
from testbed.pytest_plugin import lacking
from testbed.runtime import BACKENDS, load
from testbed.runtime.state import LabDirectory
from tests.live import engines

pytest_plugins = ["pytester"]

hypothesis.settings.register_profile(  # no verdict depends on the machine's speed
    "untimed", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("untimed")

ROOT = Path(__file__).parents[1]
MARKERS = {
    "docker": "needs a Docker Engine that answers, and the testbed's image",
    "servers": "needs the images of servers too; for tests that need a Docker Engine",
    "netns": "needs network namespaces",
    "netem": "needs a kernel with sch_netem",
    "userns": "needs to be root, to become an ordinary user who may make user namespaces",
    "podman": "needs to be root, podman, and a Docker Engine to have the testbed's image from",
    "machines": "needs to be root, to start Docker Engines of its own, and time namespaces",
    "guest": "boots a guest kernel that has netem",
    "live": "measures with real packets",
}


def pytest_configure(config):
    for name, text in MARKERS.items():
        config.addinivalue_line("markers", f"{name}: {text}")
    # A shell starts background jobs with SIGINT ignored, and what we start would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@functools.cache
def missing(capability: str) -> str | None:  # noqa: PLR0911  # a case for each
    """Why this machine has not got a capability, or None where it has."""
    if capability == "docker":
        found = load("docker").probe()
        return without_images("testbed") if found.usable else found.reason
    if capability == "servers":
        return without_images(*(f"testbed-{path.parent.name}" for path in (ROOT / "images").glob("*/Dockerfile")))
    if capability == "netns":
        found = load("netns").probe()
        return None if found.usable else found.reason
    if capability == "netem":
        return probed()["netem"].problem
    if capability == "userns":
        if os.geteuid() != 0 or not shutil.which("setpriv"):
            return "only root can become an ordinary user (setpriv, util-linux)"
        tried = as_user(["unshare", "--user", "--map-root-user", "--net", "true"])
        return f"user namespaces: {tried.stderr.strip()}" if tried.returncode else None
    if capability == "podman":
        if os.geteuid() != 0 or not shutil.which("podman"):
            return "podman is not installed, or this is not root"
        return missing("docker")
    if capability == "machines":
        return engines.missing() or missing("docker")
    raise AssertionError(capability)


def without_images(*names: str) -> str | None:
    found = subprocess.run(["docker", "image", "inspect", *names], capture_output=True, check=False)
    return f"not all of {', '.join(names)} are here; testbed images builds them" if found.returncode else None


@functools.cache
def probed() -> dict[str, EngineReport]:
    agent = [sys.executable, "-m", "testbed.agent", "--isolate", "--probe"]
    said = subprocess.run(agent, capture_output=True, check=True).stdout
    return codec.decode(json.loads(said), dict[str, EngineReport])


def as_user(argv, **options):
    """Run a command as `nobody`."""
    demoted = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--", *argv]
    return subprocess.run(demoted, capture_output=True, text=True, check=False, **options)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    """Skip a test, before any of its fixtures, if this machine lacks what it needs."""
    for capability in MARKERS.keys() - {"live", "guest"}:
        if item.get_closest_marker(capability) and (reason := missing(capability)):
            required = "docker" if capability == "servers" else capability  # who has that can build them
            lacking(item.config, {required}, reason)


def remains(lab: str) -> list[str]:
    """What can be found of a lab on this machine: containers, networks, processes, devices, files."""
    found = []
    label = f"label=testbed.lab={lab}"
    if shutil.which("docker") and not missing("docker"):
        for what, command in (("container", ["ps", "-aq"]), ("network", ["network", "ls", "-q"])):
            listed = subprocess.run(["docker", *command, "--filter", label], capture_output=True, text=True, check=True)
            found += [f"{what} {line}" for line in listed.stdout.split()]
    names = [LabDirectory(runtime, lab).agent_name for runtime in BACKENDS]
    for process in Path("/proc").iterdir():
        if process.name.isdecimal():
            try:
                argv = (process / "cmdline").read_bytes().split(b"\0")
                called = (process / "comm").read_text().strip()
            except OSError:
                continue
            if b"testbed.agent" in argv and (lab.encode() in argv or called in names):
                found.append(f"process {process.name}")
    for alias in Path("/sys/class/net").glob("*/ifalias"):
        try:
            if alias.read_text().startswith(f"testbed {lab} "):
                found.append(f"interface {alias.parent.name}")
        except OSError:
            continue
    found += way_out_of(lab)
    found += [str(path) for path in Path("/run/testbed").glob(f"*/{lab}")]
    return found


def way_out_of(lab: str) -> list[str]:
    """The rules of a lab of network namespaces on this machine."""
    if os.geteuid() != 0 or not shutil.which("nft"):
        return []
    listed = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=False).stdout
    return [line for line in listed.splitlines() if line.split()[2:] == [f"testbed-{lab}"]]


def agent_process(lab: str) -> int:
    """The pid of a lab's agent on this machine: of its processes the one that none of the others started."""
    pids = {int(entry.split()[1]) for entry in remains(lab) if entry.startswith("process")}
    (pid,) = (
        pid for pid in pids if int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]) not in pids
    )
    return pid


@contextmanager
def unused_name():
    """A name for a lab of which nothing must be left afterwards."""
    name = f"test-{secrets.token_hex(5)}"
    yield name
    assert remains(name) == []


@pytest.fixture
def lab_name():
    """A name for a lab of which nothing must be left after the test."""
    with unused_name() as name:
        yield name
