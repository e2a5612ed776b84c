"""Processor time and memory of labs. The time depends less on what else a machine does than that which passes."""

import os
import resource
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


def command_seconds() -> float:
    """Processor time of the commands that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def agent_pids(name: str, *, with_children: bool = True) -> list[int]:
    """The processes of the agent of that name, and their children: its workers, and nodes' first processes."""
    parents = _parents()
    agents = {pid for pid in parents if _name(pid) == name}
    return [pid for pid, parent in parents.items() if pid in agents or (with_children and parent in agents)]


def _parents() -> dict[int, int]:
    """The parent of each process."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with suppress(OSError):
                found[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    return found


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def seconds_of(pids: Iterable[int]) -> float:
    """Processor time of some processes so far."""
    ticks = 0
    for pid in pids:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        ticks += sum(map(int, fields[11:13]))
    return ticks / _TICKS


def proportional_bytes(pids: Iterable[int]) -> int:
    """The memory of some processes, what they share with others in part (PSS, see proc_pid_smaps_rollup(5))."""
    found = 0
    for pid in pids:
        with suppress(OSError):
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            found += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return found * 1024
