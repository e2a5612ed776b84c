"""What the guest needs of this machine."""

from __future__ import annotations

import os
import platform
import shutil

import pytest

from testbed.pytest_plugin import lacking

TOOLS = ("apt-get", "docker", "dockerd", "dpkg", "gcc", "ip", "iptables-legacy", "taskset", "unshare")


def unfit() -> str | None:
    """Why no guest can boot here, or None where one can."""
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        return f"the guest is x86-64 Linux, this is {platform.machine()} {platform.system()}"
    if os.geteuid() != 0:
        return "the guest needs root"
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    return f"the guest needs {', '.join(missing)}" if missing else None


@pytest.fixture
def guest(request: pytest.FixtureRequest) -> None:
    """Skip with the reason where no guest can boot, or fail under `--testbed-require=guest`."""
    if reason := unfit():
        lacking(request.config, {"guest"}, reason)
