"""`testbed doctor`: what this machine can do, tried for real, and what to install or enable for the rest."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from testbed import codec, runtime
from testbed import lab as labs
from testbed.agent.messages import EngineReport
from testbed.cli import options
from testbed.errors import MachineError

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


@click.command("doctor")
@options.as_json
def doctor_command(*, as_json: bool) -> int:
    """Report what this machine can do, and what to install or enable for the rest.

    The exit status is 3 if no lab can be brought up at all.
    """
    findings = _examine()
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        for finding in findings:
            mark = click.style("ok", fg="green") if finding.fine else click.style("--", fg="yellow")
            click.echo(f"{mark}  {finding.what:<20} {finding.found}")
            if finding.hint and not finding.fine:
                click.echo(f"    {'':<20} hint: {finding.hint}")
    runtimes = [finding.fine for finding in findings if finding.what.startswith("runtime")]
    return 0 if any(runtimes) else MachineError.exit_code


def _examine() -> list[MachineFinding]:
    findings = []
    for name in runtime.BACKENDS:
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
            findings.append(_image())
    return [*findings, *_engines(), _buffer(), _tools(), _leftovers()]


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
