"""The files of a netns node: this machine's, read-only, beneath a layer of the node's own.

What a node writes is in memory, seen by no other node and not by the machine, and goes with the node, as in a
container. What leads out of the node is hidden: /run, where the sockets of the machine's services and of agents are,
and all devices but those without effect outside. A Unix socket that is elsewhere in a layered directory can't be
connected to, because overlayfs gives it another inode; one that is mounted there is left out.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.linux import mounts
from testbed.linux.mounts import MS_NODEV, MS_NOEXEC, MS_NOSUID

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from testbed.linux.mounts import Mount

_SCRATCH = ("/tmp", "/var/tmp")  # noqa: S108  # of the node
_OF_THE_KERNEL = ("proc", "sys", "dev", "run")
_LAYERS = "/run"
"""Where the layers are: beneath the node's own /run, which is mounted over them."""

_DEVICES = ("null", "zero", "full", "random", "urandom", "tty", "net/tun")
_LINKS = {
    "fd": "/proc/self/fd",
    "stdin": "/proc/self/fd/0",
    "stdout": "/proc/self/fd/1",
    "stderr": "/proc/self/fd/2",
    "ptmx": "pts/ptmx",
}
_SETTINGS = ("sys", "sysrq-trigger", "acpi", "asound", "bus", "fs", "irq", "mtrr", "scsi")
"""What of /proc writes to the machine; as in Docker's containers (Docker's source, oci/defaults.go)."""

_NOT_FILES = ("overlay", "nsfs", "autofs")
"""Kinds of mounts in layered directories that nodes don't see, nor what is below: containers' files and namespaces."""


@cache
def layered(*further: str) -> Mapping[str, tuple[str, ...]]:
    """Return the directories to give a layer: those that this user may write to, with the mounts below each.

    Cached: the agent's mount namespace has what a node's begins with, and gets no more. What is mounted there goes when
    its directory is removed outside.

    Args:
        further: directories that get a layer too: of the user, and of the topology.
    """
    tops = [each.path for each in os.scandir("/") if each.is_dir(follow_symlinks=False)]
    places: dict[str, int] = {}
    for path in (*tops, *_SCRATCH, *further):
        place = os.path.realpath(path)
        if place == "/" or place.split("/")[1] in _OF_THE_KERNEL or not os.access(place, os.W_OK):
            continue
        device = Path(place).stat().st_dev
        over = [each for each in places if _is_within(place, each)]
        if not over or places[max(over, key=len)] != device:
            places[place] = device
    below: dict[str, list[str]] = {place: [] for place in places}
    for path in _seen(sorted(mounts.present(Path("/proc/self/mountinfo")), key=lambda mount: mount.path)):
        over = [place for place in places if path != place and _is_within(path, place)]
        if over:
            below[max(over, key=len)].append(path)
    return {place: tuple(paths) for place, paths in below.items()}


def _seen(found: Sequence[Mount]) -> Iterator[str]:
    """Yield the paths of mounts that nodes see: none of `_NOT_FILES`, none of what is in /run, and none below those.

    Args:
        found: all mounts, those below another after it.
    """
    over_run = [mount for mount in found if mount.path in {"/", "/run"}][-1]
    run = over_run.root if over_run.path == "/run" else f"{over_run.root.rstrip('/')}/run"
    last = {mount.path: mount for mount in found}
    hidden: list[str] = []
    for path, mount in last.items():
        of_run = mount.device == over_run.device and _is_within(mount.root, run)
        if mount.path != "/" and (of_run or mount.kind in _NOT_FILES):
            hidden.append(path)
        elif not any(_is_within(path, each) for each in hidden):
            yield path


def mount_layers(*further: str) -> None:
    """Make all files of this mount namespace read-only, with a layer of its own over each of the `layered` directories.

    A directory that the kernel gives no layer stays read-only: it has none without overlayfs, and none to an ordinary
    user if something is mounted below the directory. /tmp and /var/tmp are empty then, but for
    those of the further directories that are in them.

    Args:
        further: see `layered`.

    Raises:
        OSError: the kernel refuses a mount.
    """
    name_servers = _read("/etc/resolv.conf")
    places = layered(*further)
    hidden = {place: list(_copies(paths)) for place, paths in places.items()}
    mounts.make_read_only("/")
    mounts.mount("tmpfs", _LAYERS, "tmpfs", MS_NOSUID | MS_NODEV, "mode=700")
    for number, place in enumerate(places):
        try:
            _lay_over(place, Path(_LAYERS, str(number)))
        except OSError:
            if place in _SCRATCH:
                _empty(place, [each for each in map(os.path.realpath, further) if _is_within(each, place)])
            continue
        for path, tree in hidden[place]:
            mounts.make_read_only(tree=tree)
            with suppress(FileNotFoundError):  # its directory was removed after it was copied
                mounts.attach(tree, path)
    mounts.mount("tmpfs", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755")
    resolver = Path("/etc/resolv.conf").resolve()  # systemd-resolved's is in /run
    if resolver.is_relative_to("/run"):
        resolver.parent.mkdir(parents=True, exist_ok=True)
        resolver.write_bytes(name_servers)


def _is_within(path: str, directory: str) -> bool:
    """Whether a path is a directory or leads into it. `Path.is_relative_to` is slow."""
    return f"{path}/".startswith(f"{directory.rstrip('/')}/")


def _copies(paths: Iterable[str]) -> Iterator[tuple[str, int]]:
    """Yield copies of mounted files and directories, with their paths; sockets and devices are left out."""
    for path in paths:
        with suppress(OSError):  # an ordinary user may copy no part of what is mounted below another
            mode = Path(path).stat().st_mode
            if stat.S_ISDIR(mode) or stat.S_ISREG(mode):
                yield path, mounts.copied(path, recursive=False)


def _empty(scratch: str, kept: Iterable[str]) -> None:
    """Mount an empty directory over a scratch directory, in which only some directories are kept, read-only."""
    trees = [(path, mounts.copied(path, recursive=True)) for path in kept if path != scratch]
    mounts.mount("tmpfs", scratch, "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777")
    for path, tree in trees:
        Path(path).mkdir(parents=True, exist_ok=True)
        mounts.attach(tree, path)


def _lay_over(place: str, layer: Path) -> None:
    """Mount a layer over a directory, with that one's owner and mode."""
    status = Path(place).stat()
    files, work = layer / "files", layer / "work"
    for directory in (layer, files, work):
        directory.mkdir()
    with suppress(OSError):  # an ordinary user's lab has no other owners
        os.chown(files, status.st_uid, status.st_gid)
    files.chmod(stat.S_IMODE(status.st_mode))
    lower = os.open(place, os.O_PATH | os.O_CLOEXEC)  # by its number, as a path may have what separates options
    try:
        options = f"lowerdir=/proc/self/fd/{lower},upperdir={files},workdir={work}"
        mounts.mount("overlay", place, "overlay", MS_NODEV, options + ",userxattr" * _in_user_namespace())
    finally:
        os.close(lower)


@cache
def _in_user_namespace() -> bool:
    """Whether file systems may not be given attributes of the machine's root, `trusted.*` (overlayfs, userxattr)."""
    return Path("/proc/self/uid_map").read_text("ascii").split() != ["0", "0", "4294967295"]


def _read(path: str) -> bytes:
    with suppress(OSError):
        return Path(path).read_bytes()
    return b""


def mount_devices(shm_bytes: int) -> None:
    """Mount a /dev with devices that have no effect outside, and terminals and shared memory of the node's own.

    Args:
        shm_bytes: size of /dev/shm; 0 is half of the machine's memory.

    Raises:
        OSError: the kernel refuses a mount.
    """
    devices = [(f"/dev/{name}", mounts.copied(f"/dev/{name}", recursive=False)) for name in _DEVICES if _has(name)]
    mounts.mount("tmpfs", "/dev", "tmpfs", MS_NOSUID | MS_NOEXEC, "mode=755,size=64k")
    for path, tree in devices:
        Path(path).parent.mkdir(exist_ok=True)
        Path(path).touch()
        mounts.attach(tree, path)
    for name, target in _LINKS.items():
        Path("/dev", name).symlink_to(target)
    for name in ("pts", "shm"):
        Path("/dev", name).mkdir()
    mounts.mount("devpts", "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=666,mode=620")
    size = f",size={shm_bytes}" if shm_bytes else ""
    mounts.mount("tmpfs", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, f"mode=1777{size}")  # noqa: S108


def _has(device: str) -> bool:
    return Path("/dev", device).exists()


def mount_kernel(*, writable: bool) -> None:
    """Mount /proc and /sys of the node's own namespaces.

    Args:
        writable: the node may change the machine's settings; else only those of its network, /proc/sys/net.

    Raises:
        OSError: the kernel refuses a mount.
    """
    flags = MS_NOSUID | MS_NODEV | MS_NOEXEC
    mounts.mount("proc", "/proc", "proc", flags)
    with suppress(OSError):  # refused where parts of /sys are hidden (containers); only /sys/class/net would differ
        mounts.mount("sysfs", "/sys", "sysfs", flags)
    if writable:
        return
    network = mounts.copied("/proc/sys/net", recursive=False)
    for name in _SETTINGS:
        if Path("/proc", name).exists():
            tree = mounts.copied(f"/proc/{name}", recursive=False)
            mounts.make_read_only(tree=tree)
            mounts.attach(tree, f"/proc/{name}")
    mounts.attach(network, "/proc/sys/net")
    mounts.make_read_only("/sys")
