"""Control groups (cgroups(7)), version 1 and 2: finding them, making some for processes of ours, and their limits."""

from __future__ import annotations

import errno
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from testbed import units
from testbed.errors import LabError, MachineError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

PERIOD_US = 100_000
"""In which processes may use their quota of CPU time: the kernel's default."""

_LEAST_QUOTA_US = 1000
_EMPTYING_SECONDS = 20.0
_POLL_SECONDS = 0.01


@dataclass(frozen=True, slots=True)
class Controller:
    """Where a controller is controlled.

    Attributes:
        name: `cpu`, `io`; of version 1, the latter is `blkio`.
        version: of cgroups.
        mounted: the directory where the hierarchy is.
        own: the directory of the group that this process is in.
    """

    name: str
    version: int
    mounted: Path
    own: Path

    def group_of(self, process: Path) -> Path | None:
        """Return the directory of the group that another process is in, by its directory in /proc; None if unseen."""
        return _group(process, self.mounted, self.name if self.version == 1 else "")


def _hierarchies() -> Iterator[tuple[str, Path, tuple[str, ...]]]:
    """Yield each hierarchy that is mounted: its kind, where, and what controllers it has (of version 1)."""
    for line in Path("/proc/self/mountinfo").read_text("utf-8", "replace").splitlines():
        before, _, after = line.partition(" - ")
        kind, _, options = after.split(" ", 2)
        if kind in ("cgroup", "cgroup2"):
            yield kind, Path(before.split()[4]), tuple(options.split(","))


def _group(process: Path, mounted: Path, controller: str) -> Path | None:
    """Return the group of a process; `controller` is empty for version 2."""
    with suppress(OSError):
        for line in (process / "cgroup").read_text("utf-8", "replace").splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers.split(",").count(controller) and (group := mounted / path.lstrip("/")).is_dir():
                return group
    return None


def find(name: str) -> Controller | None:
    """Return where a controller of version 1 or 2 is; None if this machine has not got it.

    Args:
        name: as version 2 names it: `cpu`, `io`.
    """
    old = {"io": "blkio"}.get(name, name)
    me = Path("/proc/self")
    for kind, mounted, options in _hierarchies():
        if kind == "cgroup" and old in options and (own := _group(me, mounted, old)):
            return Controller(old, 1, mounted, own)
    for kind, mounted, _ in _hierarchies():
        if kind == "cgroup2" and (own := _group(me, mounted, "")):
            with suppress(OSError):
                if name in (mounted / "cgroup.controllers").read_text("ascii").split():
                    return Controller(name, 2, mounted, own)
    return None


def place(name: str) -> Path:
    """Return a directory in which this process may make groups with a controller.

    With version 2, groups that have processes can't pass controllers on to groups in them, but for the root.

    Raises:
        MachineError: `no-limits`, there is none.
    """
    if not (found := find(name)):
        raise MachineError("no-limits", f"this machine has no cgroup controller {name}", _DOCKER)
    if found.version == 1:
        candidates = [found.own]
    else:
        candidates = [found.mounted, found.own.parent] if os.geteuid() == 0 else [found.own.parent]
    for directory in candidates:
        if _is_usable(found, directory):
            return directory
    where = ", ".join(map(str, candidates))
    said = f"this user can't make cgroups with controller {found.name} in {where}"
    raise MachineError("no-limits", said, f"run as root, or in a cgroup that is delegated to you; or {_DOCKER}")


_DOCKER = "use --runtime docker"


def _is_usable(found: Controller, directory: Path) -> bool:
    """Whether groups in a directory can be made, have the controller, and take processes of ours."""
    if not (directory.is_relative_to(found.mounted) and os.access(directory, os.W_OK)):
        return False
    if found.version == 1:
        return True
    try:
        if found.name not in (directory / "cgroup.subtree_control").read_text("ascii").split():
            (directory / "cgroup.subtree_control").write_text(f"+{found.name}", "ascii")
    except OSError:
        return False
    return os.access(directory / "cgroup.procs", os.W_OK)


def make(group: Path) -> None:
    """Make a group, if it is not there.

    Raises:
        MachineError: `no-limits`.
    """
    try:
        group.mkdir(exist_ok=True)
    except OSError as error:
        said = f"the kernel makes no cgroup {group}: {error.strerror}"
        raise MachineError("no-limits", said, f"run as root, or {_DOCKER}") from None


def move(pids: Callable[[], Iterable[int]], group: Path) -> None:
    """Move processes to a group, until all are there: those that they start meanwhile may be elsewhere.

    Args:
        pids: returns the numbers of the processes that there are.
        group: its directory.

    Raises:
        OSError: the kernel's refusal.
    """
    moved: set[int] = set()
    while new := set(pids()) - moved:
        for pid in new:
            with suppress(ProcessLookupError):
                (group / "cgroup.procs").write_text(str(pid), "ascii")
        moved |= new


def remove(group: Path) -> None:
    """Remove a group, with its processes moved to the one that it is in; do nothing if there is none.

    Raises:
        OSError: the kernel keeps it.
    """
    deadline = time.monotonic() + _EMPTYING_SECONDS
    while group.is_dir():
        with suppress(OSError):  # some end meanwhile
            move(lambda: map(int, (group / "cgroup.procs").read_text("ascii").split()), group.parent)
        try:
            group.rmdir()
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno != errno.EBUSY or time.monotonic() > deadline:
                raise
            time.sleep(_POLL_SECONDS)  # what has been killed is about to go


def limit_cpus(group: Path, cpus_milli: int) -> None:
    """Limit the CPU time of a group.

    Args:
        group: its directory.
        cpus_milli: in thousandths of a core, at least 10; 0 is no limit.

    Raises:
        MachineError: `no-limits`, the kernel refuses.
        LabError: `limit-not-set`.
    """
    quota_us = max(cpus_milli * PERIOD_US // 1000, _LEAST_QUOTA_US) if cpus_milli else None
    if (group / "cpu.max").exists():
        write(group / "cpu.max", f"{quota_us or 'max'} {PERIOD_US}")
    else:
        write(group / "cpu.cfs_period_us", f"{PERIOD_US}")
        write(group / "cpu.cfs_quota_us", f"{quota_us or -1}")


def cpus_of(group: Path) -> tuple[int, ...]:
    """Return the numbers of the CPUs that groups in a group with the controller `cpuset` may have."""
    files = (group / name for name in ("cpuset.cpus.effective", "cpuset.effective_cpus"))  # versions 2 and 1
    text = next(file for file in files if file.exists()).read_text("ascii").strip()
    return units.parse_cpu_set(text) if text else ()


def limit_cpu_set(group: Path, cpus: str) -> None:
    """Limit which CPUs the processes of a group may use; they have all memory of the group that it is in.

    Args:
        group: its directory.
        cpus: their numbers, in the kernel's form: `0-1,3`.

    Raises:
        MachineError: `no-limits`, the kernel refuses.
        LabError: `limit-not-set`.
    """
    if (group / "cpuset.effective_mems").exists():  # version 1, where a new group has neither
        write(group / "cpuset.mems", (group.parent / "cpuset.effective_mems").read_text("ascii").strip())
    write(group / "cpuset.cpus", cpus)


def limit_processes(group: Path, most: int) -> None:
    """Limit how many processes and threads a group has at a time.

    Raises:
        MachineError: `no-limits`, the kernel refuses.
        LabError: `limit-not-set`.
    """
    write(group / "pids.max", f"{most}")


def write(file: Path, text: str) -> None:
    """Set a limit, and read it back.

    Raises:
        MachineError: `no-limits`, the kernel refuses.
        LabError: `limit-not-set`, it has something else.
    """
    try:
        file.write_text(text, "ascii")
        found = file.read_text("ascii").strip()
    except OSError as error:
        said = f"the kernel does not take {text!r} for {file}: {error.strerror}"
        raise MachineError("no-limits", said, _DOCKER) from None
    if found != text:
        raise LabError("limit-not-set", f"{file} has {found!r}, and not {text!r}")


def limit_disk(group: Path, device: str, bytes_per_s: int) -> None:
    """Limit how fast a group reads a disk, and how fast it writes it.

    Args:
        group: its directory.
        device: the number of the disk, as in `8:0`.
        bytes_per_s: of each; 0 is no limit.

    Raises:
        MachineError: `no-limits`, the kernel refuses.
        LabError: `limit-not-set`.
    """
    if (group / "io.max").exists():
        limit = str(bytes_per_s) if bytes_per_s else "max"
        _write_device(group / "io.max", device, f"rbps={limit} wbps={limit}", bytes_per_s)
        return
    for what in ("read", "write"):
        _write_device(group / f"blkio.throttle.{what}_bps_device", device, str(bytes_per_s), bytes_per_s)


def _write_device(file: Path, device: str, limit: str, bytes_per_s: int) -> None:
    """Set a limit of a disk, and read it back."""
    try:
        file.write_text(f"{device} {limit}", "ascii")
        lines = file.read_text("ascii").splitlines()
    except OSError as error:
        said = f"the kernel does not take a limit of disk {device} in {file}: {error.strerror}"
        raise MachineError("no-limits", said, "leave the event out") from None
    found = next((line for line in lines if line.split()[:1] == [device]), "")
    wanted = limit.split() if bytes_per_s else []
    if found.split()[1:][: len(wanted) or None] != wanted:
        raise LabError("limit-not-set", f"{file} has {found!r}, and not {device} {limit}")


def io_group(process: Path) -> Path:
    """Return the cgroup of another process that limits disks, by its directory in /proc.

    Raises:
        MachineError: `no-limits`, this machine has none.
    """
    found = find("io")
    group = found and found.group_of(process)
    if not group or group == (found and found.mounted):
        raise MachineError("no-limits", "this machine has no cgroup that limits disks for the node alone")
    return group
