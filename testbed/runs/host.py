"""Facts about the machine that results may depend on, read without privileges. They do not identify the machine."""

from __future__ import annotations

import os
import platform
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from testbed import __version__


@dataclass(frozen=True, slots=True, kw_only=True)
class HostFacts:
    """The machine that made a run. Facts that are not available are None.

    Attributes:
        architecture: as the kernel names it, `x86_64`.
        cpu_model: of the processor.
        cores: how many it has; usable_cores: how many this process may use.
        memory_bytes: of it all.
        load: load averages over 1, 5 and 15 minutes.
        congestion: the default TCP congestion control.
        clock_source: of the kernel.
        virtualisation: hints: what the firmware says the machine is, that the processor knows of a hypervisor, that
            this is a container.
    """

    architecture: str
    cpu_model: str | None
    cores: int | None
    usable_cores: int
    memory_bytes: int | None
    load: tuple[float, float, float]
    congestion: str | None
    clock_source: str | None
    virtualisation: tuple[str, ...]


def facts() -> HostFacts:
    """Return the facts about this machine."""
    cpu, meminfo = _fields("/proc/cpuinfo"), _fields("/proc/meminfo")
    memory = meminfo.get("MemTotal", "").split()
    return HostFacts(
        architecture=platform.machine(),
        cpu_model=cpu.get("model name"),
        cores=os.cpu_count(),
        usable_cores=len(os.sched_getaffinity(0)),
        memory_bytes=int(memory[0]) * 1024 if memory else None,
        load=os.getloadavg(),
        congestion=_text("/proc/sys/net/ipv4/tcp_congestion_control"),
        clock_source=_text("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
        virtualisation=tuple(_virtualisation(cpu.get("flags", ""))),
    )


def versions() -> dict[str, str]:
    """Return the versions of the kernel, of Python and of testbed."""
    return {"kernel": platform.release(), "python": platform.python_version(), "testbed": __version__}


def _virtualisation(flags: str) -> list[str]:
    hints = [_text(f"/sys/class/dmi/id/{name}") for name in ("sys_vendor", "product_name")]
    if "hypervisor" in flags.split():
        hints.append("hypervisor")
    if Path("/.dockerenv").exists() or Path("/run/.containerenv").exists():
        hints.append("container")
    if "microsoft" in platform.release().lower():
        hints.append("WSL")
    return [hint for hint in hints if hint]


def _text(path: str) -> str | None:
    with suppress(OSError):
        return Path(path).read_text().strip() or None
    return None


def _fields(path: str) -> dict[str, str]:
    """Return the fields `name: value` of a file, the first of each name."""
    values: dict[str, str] = {}
    for line in (_text(path) or "").splitlines():
        name, _, value = line.partition(":")
        values.setdefault(name.strip(), value.strip())
    return values
