"""Processor time of labs, which depends less on what else a machine does than the time that passes."""

import os
import resource
from collections.abc import Iterable
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


def command_seconds() -> float:
    """Processor time of the commands that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def agent_pids(name: str, *, with_children: bool = True) -> list[int]:
    """The processes of the agent of that name, and their children: its workers, and nodes' first processes."""
    agents, parents = set(), {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                parents[entry.name] = (entry / "stat").read_text().rpartition(")")[2].split()[1]
                if (entry / "comm").read_text().strip() == name:
                    agents.add(entry.name)
            except OSError:
                continue
    return [int(pid) for pid in parents if pid in agents or (with_children and parents[pid] in agents)]


def seconds_of(pids: Iterable[int], *, with_children: bool = False) -> float:
    """Processor time of some processes so far, and of their children that have ended."""
    ticks = 0
    for pid in pids:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        ticks += sum(map(int, fields[11 : 15 if with_children else 13]))
    return ticks / _TICKS
