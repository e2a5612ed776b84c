"""The shop of tests/shop, software that is not ours, as an ordinary compose project."""

from __future__ import annotations

import re
import shutil
import subprocess
from contextlib import contextmanager
from math import nan

from testbed.runtime.docker import compose
from tests.conftest import ROOT
from tests.live.others import Containers, docker, said


def copied(directory):
    """A copy of its files, and its image built from Debian's packages where that is not done yet."""
    shutil.copytree(ROOT / "tests" / "shop", directory)
    base = "testbed-base:bookworm" if docker("images", "-q", "testbed-base:bookworm") else "debian:bookworm-slim"
    build = [
        "docker",
        "build",
        "--network",
        "host",
        "--build-arg",
        f"BASE={base}",
        "-t",
        "testbed-shop",
        str(directory),
    ]
    done = subprocess.run(build, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    return directory


class Shop(Containers):
    """A project that is up. Its containers are `web-1`, `app-1`, `db-1`, ..."""

    def __init__(self, name, directory, *files):
        self.name = name
        self.network = f"{name}_default"
        self._argv = [*compose.program().argv, "-p", name]
        for file in ("docker-compose.yml", *files):
            self._argv += ["-f", str(directory / file)]

    def compose(self, *argv):
        return said(*self._argv, *argv)

    def container(self, which):
        return compose.program().separator.join((self.name, *which.rsplit("-", 1)))

    def benchmark(self, which="app-1"):
        """Requests per second that redis-benchmark makes from one container to the database, one after the other."""
        argv = ["redis-benchmark", "-h", "db", "-c", "1", "-n", "20", "-t", "ping_mbulk", "--csv"]
        told = docker("exec", self.container(which), *argv)
        return float(re.findall(r'"PING_MBULK","(inf|[\d.]+)"', told)[0])

    def shortest(self, source, target):
        """The shortest of a few round trips by ping, ms; NaN, which is neither long nor short, where there is none."""
        return min(self.pings(source, target, "-c3", "-i0.1"), default=nan)


@contextmanager
def shop(name, directory, *files):
    """A shop that is up for the time of the context."""
    made = Shop(name, directory, *files)
    try:
        made.compose("up", "-d", "--no-build")
        yield made
    finally:
        made.compose("down", "-v", "--remove-orphans")
