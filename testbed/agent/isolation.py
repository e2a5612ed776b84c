"""An agent of the netns runtime lives in namespaces of its own, so that the kernel removes the lab when it dies."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from testbed.errors import MachineError
from testbed.linux import mounts, namespaces
from testbed.linux.mounts import MS_NODEV, MS_NOEXEC, MS_NOSUID, MS_PRIVATE, MS_REC

_WORLD = namespaces.NEWNS | namespaces.NEWPID | namespaces.NEWNET | namespaces.NEWIPC | namespaces.NEWUTS


def isolate(guardian: socket.socket | None = None) -> None:
    """Move into new pid, mount, network, IPC and UTS namespaces, and a user namespace where not privileged.

    Returns in a process that is the second of the new pid namespace. The first is an init that reaps orphans and
    ends when the agent ends; then, as when the init is killed, the kernel kills every process of the lab, and with
    the last of them go its network namespaces and all devices in them. The calling process ends here.

    Args:
        guardian: takes a pidfd of the init, see `guardian.start_ahead`.

    Raises:
        MachineError: the kernel or its settings do not allow that.
    """
    _unshare()
    mounts.mount("none", "/", flags=MS_REC | MS_PRIVATE)
    if init := os.fork():
        if guardian:
            socket.send_fds(guardian, [b"."], [os.pidfd_open(init)])
        os._exit(0)
    if guardian:
        guardian.close()
    mounts.mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    agent = os.fork()
    if not agent:
        return
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)  # else init would keep the caller's end of the lifeline open
    while os.wait()[0] != agent:
        pass
    os._exit(0)


def _unshare() -> None:
    try:
        if os.geteuid() == 0:
            try:
                namespaces.unshare(_WORLD)
            except PermissionError:  # root in a container without CAP_SYS_ADMIN
                _unshare_as_user()
        else:
            _unshare_as_user()
    except OSError as error:
        raise MachineError(
            "namespaces-refused",
            f"the kernel does not let user {os.geteuid()} make namespaces: {error.strerror}",
            _hint(),
        ) from None


def _unshare_as_user() -> None:
    uid, gid = os.geteuid(), os.getegid()
    namespaces.unshare(namespaces.NEWUSER | _WORLD)
    Path("/proc/self/setgroups").write_text("deny", "ascii")  # user_namespaces(7): before gid_map
    Path("/proc/self/uid_map").write_text(f"0 {uid} 1", "ascii")
    Path("/proc/self/gid_map").write_text(f"0 {gid} 1", "ascii")


def _hint() -> str:
    """The setting that most likely stands in the way, with the value found."""
    for path, refusing in (
        ("/proc/sys/kernel/unprivileged_userns_clone", "0"),
        ("/proc/sys/user/max_user_namespaces", "0"),
        ("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1"),
    ):
        setting = Path(path)
        if setting.exists() and setting.read_text("ascii").strip() == refusing:
            name = path.removeprefix("/proc/sys/").replace("/", ".")
            good = {"0": "1"}.get(refusing, "0") if "max" not in path else "15000"
            return f"{name} is {refusing}: sudo sysctl -w {name}={good}, or run as root"
    return (
        "run as root, or allow user namespaces (in a container: --cap-add SYS_ADMIN, or a seccomp profile with unshare)"
    )
