"""What this machine can do, tried for real, and what to install or enable for the rest."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from testbed import codec, runtime
from testbed.agent.messages import EngineReport
from testbed.errors import MachineError
from testbed.lab import labs
from testbed.linux import clock, mounts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from testbed.runtime.docker.own_images import OwnImage

_TOOLS = ("ping", "iperf3", "tcpdump", "curl", "ethtool", "nft")
_RECEIVE_BUFFER = Path("/proc/sys/net/core/rmem_max")
_RECEIVE_BUFFER_BYTES = 16 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineFinding:
    """One capability of this machine.

    Attributes:
        what: its name.
        fine: whether the machine has it.
        found: its state, in words.
        hint: how to get it; empty if there is nothing to do.
    """

    what: str
    fine: bool
    found: str
    hint: str = ""


def examine() -> list[MachineFinding]:
    """Try the runtimes, the engines and the tools of this machine, and look for the remains of labs."""
    findings = []
    for name in runtime.OF_THIS_MACHINE:
        availability = runtime.load(name).probe()
        findings.append(
            MachineFinding(
                what=f"runtime {name}",
                fine=availability.usable,
                found=availability.description or availability.reason,
                hint=availability.hint,
            )
        )
        if name == "docker" and availability.usable:
            findings += [_image(), _server_images()]
    return [*findings, *_engines(), _kernel(), _buffer(), _tools(), _compiler(), _live_view(), _leftovers()]


def _kernel() -> MachineFinding:
    fine = mounts.can_make_read_only()
    return MachineFinding(
        what="kernel",
        fine=fine,
        found=f"Linux {platform.release()}{'' if fine else ': too old for nodes of runtime netns'}",
        hint="runtime netns needs Linux 5.12 or newer; containers (--runtime docker) need 5.3",
    )


def _compiler() -> MachineFinding:
    """Whether this machine can make the library by which the programs of a node see a wrong clock."""
    try:
        clock.library()
    except MachineError as error:
        hint = f"{error.hint}; nothing else needs it"
        return MachineFinding(what="C compiler", fine=False, found=error.message, hint=hint)
    return MachineFinding(what="C compiler", fine=True, found="makes the library for clock: in a timeline")


def _live_view() -> MachineFinding:
    fine = find_spec("textual") is not None
    return MachineFinding(
        what="live view",
        fine=fine,
        found="testbed watch has Textual" if fine else "Textual is not installed: testbed watch has only --web",
        hint="pip install 'textual>=1.0'",
    )


def _server_images() -> MachineFinding:
    from testbed.runtime.docker import own_images  # noqa: PLC0415  # as in _image

    missing = own_images.missing_servers()
    return MachineFinding(
        what="images of servers",
        fine=not missing,
        found=f"missing: {', '.join(missing)}" if missing else "all are present",
        hint=f"testbed images {' '.join(missing)}; few topologies need them",
    )


def _image() -> MachineFinding:
    from testbed.runtime.docker import objects  # noqa: PLC0415  # the docker package only where an engine answers
    from testbed.runtime.docker.engine import DockerEngine  # noqa: PLC0415

    try:
        objects.ensure_image(DockerEngine(), objects.OWN_IMAGE)
    except MachineError as error:
        return MachineFinding(what="image", fine=False, found=error.message, hint=error.hint or "")
    return MachineFinding(what="image", fine=True, found=f"{objects.OWN_IMAGE} is present")


def _engines() -> list[MachineFinding]:
    command = [sys.executable, "-m", "testbed.agent", "--isolate", "--probe"]
    trial = subprocess.run(command, capture_output=True, check=False, cwd="/")
    if not trial.stdout:
        return [MachineFinding(what="engines", fine=False, found="can't be tested without runtime netns")]
    reports = codec.decode(json.loads(trial.stdout), dict[str, EngineReport])
    return [
        MachineFinding(
            what=f"engine {name}",
            fine=report.problem is None,
            found=report.problem or report.description,
            hint=report.hint or "",
        )
        for name, report in reports.items()
    ]


def _buffer() -> MachineFinding:
    """Whether packet sockets may have large receive buffers; only root may exceed the limit."""
    limit = int(_RECEIVE_BUFFER.read_text("ascii"))
    enough = os.geteuid() == 0 or limit >= _RECEIVE_BUFFER_BYTES
    found = "large enough" if enough else f"net.core.rmem_max is {limit}: engine userspace may drop packets in bursts"
    return MachineFinding(
        what="receive buffers",
        fine=enough,
        found=found,
        hint=f"sudo sysctl -w net.core.rmem_max={_RECEIVE_BUFFER_BYTES}",
    )


def _tools() -> MachineFinding:
    missing = [tool for tool in _TOOLS if not shutil.which(tool)]
    return MachineFinding(
        what="tools",
        fine=not missing,
        found=f"not installed: {', '.join(missing)}" if missing else ", ".join(_TOOLS),
        hint="for nodes of runtime netns, apt-get install iputils-ping iperf3 tcpdump curl ethtool; for NAT, nftables",
    )


def _leftovers() -> MachineFinding:
    statuses = labs.all_labs()
    changing = [f"{status.lab} is {status.changing}" for status in statuses if not status.healthy and status.changing]
    broken = [status.lab for status in statuses if not status.healthy and not status.changing]
    state = (
        f"broken: {', '.join(broken)}" if broken else f"{sum(status.healthy for status in statuses)} up, none broken"
    )
    return MachineFinding(
        what="labs",
        fine=not broken,
        found="; ".join([state, *changing]),
        hint="; ".join(f"testbed down {lab}" for lab in broken) + " removes what is left",
    )


def build_images(names: Sequence[str] = (), *, to_stderr: bool = False) -> list[OwnImage]:
    """Build the images of these names, or all; see `testbed.runtime.docker.own_images.build`."""
    from testbed.runtime.docker import own_images  # noqa: PLC0415  # as above

    return own_images.build(names, to_stderr=to_stderr)
