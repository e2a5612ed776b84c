"""A Docker Engine that ends in mid-run; only `make soak` runs it, by this file's name.

It is an engine of its own, in a network namespace of its own, where the commands run too.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import time
from contextlib import contextmanager

import pytest

from tests.conftest import ROOT
from tests.live import kills
from tests.live.command_line import COMMAND, WAIT_S
from tests.soak import figures

pytestmark = [
    pytest.mark.live,
    pytest.mark.docker,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can start a Docker Engine"),
]

RESTARTS = figures.count(3)


class Engine:
    """A Docker Engine in a network namespace, which can be restarted."""

    def __init__(self, place, space):
        self.place = place
        self.inside = ["nsenter", f"--net=/run/netns/{space}"]
        self.environment = {**os.environ, "DOCKER_HOST": f"unix://{place}/docker.sock"}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self):
        argv = [*self.inside, "dockerd", "--host", self.environment["DOCKER_HOST"], "--data-root", self.place / "data"]
        argv += ["--exec-root", self.place / "exec", "--pidfile", self.place / "pid", "--bridge=none"]
        with (self.place / "log").open("ab") as log:
            self._process = subprocess.Popen([*argv, "--iptables=false"], stdout=log, stderr=log)
        deadline = time.monotonic() + WAIT_S
        while self.docker("version", check=False).returncode:
            assert self._process.poll() is None, (self.place / "log").read_text()[-2000:]
            assert time.monotonic() < deadline
            time.sleep(0.2)

    def stop(self):
        if self._process:
            self._process.terminate()
            self._process.wait(WAIT_S)

    def docker(self, *argv, check=True):
        return subprocess.run(["docker", *argv], env=self.environment, capture_output=True, text=True, check=check)

    def begin(self, *argv):
        pipe = subprocess.PIPE
        command = [*self.inside, *COMMAND, *argv]
        return subprocess.Popen(command, cwd=ROOT, env=self.environment, stdout=pipe, stderr=pipe, text=True)


@contextmanager
def own_engine(place):
    """An engine that has the testbed's image."""
    space = f"tbsoak{secrets.token_hex(3)}"
    subprocess.run(["ip", "netns", "add", space], check=True)
    try:
        subprocess.run(["ip", "-n", space, "link", "set", "lo", "up"], check=True)
        engine = Engine(place, space)
        engine.start()
        try:
            with subprocess.Popen(["docker", "save", "testbed:latest"], stdout=subprocess.PIPE) as saved:
                subprocess.run(["docker", "load"], stdin=saved.stdout, env=engine.environment, check=True)
            yield engine
        finally:
            engine.stop()
    finally:
        subprocess.run(["ip", "netns", "delete", space], check=True)


def test_an_engine_that_is_restarted_in_mid_run(tmp_path):
    file = tmp_path / "engine.yml"
    file.write_text(kills.TOPOLOGY.replace("count: 5,", "count: 200,"))
    failed, left = [], []
    with own_engine(tmp_path) as engine:
        for _ in range(RESTARTS):
            lab = f"test-{secrets.token_hex(5)}"
            options = ["--name", lab, "--runtime", "docker", "--results", str(tmp_path / "results"), "--no-check"]
            run = engine.begin("run", str(file), *options)
            deadline = time.monotonic() + WAIT_S
            while len(engine.docker("ps", "-q", "--filter", f"label=testbed.lab={lab}").stdout.split()) < 2:
                assert run.poll() is None, run.communicate()
                assert time.monotonic() < deadline
                time.sleep(0.2)
            time.sleep(3)
            engine.stop()
            engine.start()
            _, errors = run.communicate(timeout=WAIT_S)
            failed += [errors] if "Traceback" in errors or run.returncode == 0 else []
            for _ in range(2):
                down = engine.begin("down", lab)
                _, errors = down.communicate(timeout=WAIT_S)
                failed += [errors] if down.returncode else []
            for what in (["ps", "-aq"], ["network", "ls", "-q"]):
                left += engine.docker(*what, "--filter", f"label=testbed.lab={lab}").stdout.split()
    figures.keep("Docker Engine restarted in mid-run", tried=RESTARTS, failed=len(failed), left=len(left))
    assert (failed, left) == ([], [])
