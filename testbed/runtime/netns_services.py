"""What network namespaces can do of a plan's service keys: mounts, users and limits; the rest is refused.

Checks run before anything is made: file system, users, CPUs and limits of the nodes are this machine's.
"""

from __future__ import annotations

import grp
import os
import pwd
import resource
import signal
from pathlib import Path
from typing import TYPE_CHECKING

from testbed import units
from testbed.agent import messages
from testbed.errors import MachineError
from testbed.linux import cgroups, clock
from testbed.runtime import local_files, name_servers
from testbed.runtime.node_settings import own_addresses
from testbed.services import CAPABILITIES, Tmpfs, Volume

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from testbed.plan.forwarding import Forwarding
    from testbed.plan.model import Plan
    from testbed.plan.nodes import Node
    from testbed.services import Service, Ulimit

_CONTAINERS = "use --runtime docker on a machine with a Docker Engine"
_DEFAULT_CAPABILITIES = """
AUDIT_WRITE CHOWN DAC_OVERRIDE FOWNER FSETID KILL NET_ADMIN NET_BIND_SERVICE NET_RAW SETFCAP SETGID SETPCAP SETUID
SYS_CHROOT
"""
_CAPABILITIES = tuple(_DEFAULT_CAPABILITIES.split())
"""Docker's default, with NET_ADMIN, which reaches no further than the node's own network, and without MKNOD, for no
cgroup keeps these nodes from using the devices that they would make."""

_RESOLVER = Path("/etc/resolv.conf")


def require(plan: Plan) -> None:
    """Require that network namespaces of this machine, and of this user, can be what the nodes are to be.

    Raises:
        MachineError: `needs-containers`; `missing-files`; `no-such-target`, `no-such-user`, `not-permitted`;
            `no-clock`, `no-compiler`; `no-limits`, `too-few-cpus`.
    """
    if plan.clocked:
        clock.library()
    for node in plan.nodes:
        if node.name in plan.clocked and node.service.user and os.geteuid() == 0:
            message = f"node {node.name} has a user, who may not read the files of the lab that its clock needs"
            raise MachineError("no-clock", message, f"{_CONTAINERS}, or leave its user or clock out")
        for what, why, instead in _needs_containers(node):
            hint = f"{_CONTAINERS}, or {instead}"
            raise MachineError("needs-containers", f"node {node.name} asks for {what}, and {why} containers", hint)
        _require_targets(node)
        if node.service.user:
            _require_user(node)
        for limit in node.service.ulimits:
            _require_limit(node, limit)
        if node.service.is_confined:
            _require_groups(node)
    local_files.require(plan)


def _needs_containers(node: Node) -> Iterator[tuple[str, str, str]]:
    """Yield what of a node needs containers, as parts of a message: what, why, and what to do instead."""
    service = node.service
    if service.build:
        yield f"a build of {service.build.context}", "images need", "give it a command of this machine's"
    if node.image:
        yield f"image {node.image!r}", "images need", "give it a command of this machine's"
    if node.cpus_milli or node.memory_bytes:
        yield "a limit on CPU or memory", "limits need", "leave the limit out"
    if node.ready and node.ready.healthcheck:
        yield "ready: healthcheck", "that is an image's, which need", "say another way to tell that it is ready"
    if service.dns and not _RESOLVER.exists():
        yield "dns", f"this machine has no {_RESOLVER} to put in place of, so that needs", f"create {_RESOLVER}"
    for key, why, given in _container_keys(service):
        if given:
            yield key, why, f"leave {key} out"


def _container_keys(service: Service) -> Iterator[tuple[str, str, object]]:
    """Yield each key that only containers have, why, and its value."""
    yield "devices", "devices need", service.devices
    yield "restart", "restarts need", service.restarts
    yield "pull_policy", "images need", service.pull_policy
    yield "platform", "platforms of images need", service.platform
    yield "labels", "labels need", service.labels


def _require_targets(node: Node) -> None:
    mounts: list[Volume | Tmpfs] = [*node.service.volumes, *node.service.tmpfs]
    for mount in mounts:
        if not Path(mount.target).exists():
            raise MachineError(
                "no-such-target",
                f"node {node.name} mounts something on {mount.target}, which is not on this machine, whose file system "
                "network namespaces share",
                f"create {mount.target}, mount it elsewhere, or {_CONTAINERS}",
            )
        if mount.target in ("/etc/hosts", "/proc", "/sys"):
            raise MachineError(
                "no-such-target",
                f"node {node.name} mounts something on {mount.target}, which is every node's own already",
                f"mount it elsewhere, or {_CONTAINERS}",
            )


def _require_user(node: Node) -> None:
    try:
        ids = _ids(node.service.user)
    except KeyError as error:
        raise MachineError(
            "no-such-user",
            f"node {node.name} runs as {node.service.user!r}, and this machine has no such user or group: {error}",
            "network namespaces have the users of the machine: getent passwd lists them",
        ) from None
    if os.geteuid() != 0 and ids[:2] != (0, 0):
        raise MachineError(
            "not-permitted",
            f"node {node.name} runs as {node.service.user!r}, and a lab of an ordinary user has no user but root",
            f"run as root, leave user out, or {_CONTAINERS}",
        )


def _require_limit(node: Node, limit: Ulimit) -> None:
    number = getattr(resource, f"RLIMIT_{limit.name.upper()}", None)
    if number is None:
        raise MachineError(
            "not-permitted",
            f"node {node.name} asks for ulimit {limit.name}, which this machine's programs can't set",
            f"leave it out, or {_CONTAINERS}",
        )
    most = resource.getrlimit(number)[1]
    if os.geteuid() != 0 and most != -1 and (limit.hard == -1 or limit.hard > most):
        raise MachineError(
            "not-permitted",
            f"node {node.name} asks for ulimit {limit.name} {limit.hard}, and an ordinary user's hard limit is {most}",
            f"lower it to {most}, or run as root",
        )


def _require_groups(node: Node) -> None:
    """Require that cgroups can limit the CPUs and the number of the processes of a node."""
    if node.service.pids_limit:
        _place(node, "pids_limit", "pids")
    if node.service.cpuset:
        able = cgroups.cpus_of(_place(node, "cpuset", "cpuset"))
        if missing := sorted(set(units.parse_cpu_set(node.service.cpuset)) - set(able)):
            has = units.format_cpu_set(able)
            said = f"node {node.name} has a cpuset with CPU {units.format_cpu_set(missing)}, and this machine has {has}"
            raise MachineError("too-few-cpus", said, f"name CPUs of {has}")


def _place(node: Node, key: str, controller: str) -> Path:
    """Return where the cgroup of a node can be made, for one of its keys."""
    try:
        return cgroups.place(controller)
    except MachineError as error:
        raise MachineError(error.code, f"node {node.name} has {key}, and {error.message}", error.hint) from None


def _ids(user: str) -> tuple[int, int, tuple[int, ...]]:
    """Return the ids of `user` or `user:group`, by name or number, and those of the user's further groups.

    Raises:
        KeyError: this machine has no such user or group.
    """
    name, _, group = user.partition(":")
    known = _known(name)
    uid = known.pw_uid if known else int(name)
    gid = known.pw_gid if known else 0
    if group:
        gid = int(group) if group.isdecimal() else grp.getgrnam(group).gr_gid
        return uid, gid, (gid,)
    return uid, gid, tuple(os.getgrouplist(known.pw_name, gid)) if known else (gid,)


def _known(name: str) -> pwd.struct_passwd | None:
    """Return the entry of a user by name or number; None for a number without one."""
    if not name.isdecimal():
        return pwd.getpwnam(name)
    try:
        return pwd.getpwuid(int(name))
    except KeyError:
        return None


def surroundings(plan: Plan, node: Node, directory: Path) -> messages.Surroundings:
    """Return what the processes of a node have beside its network; `directory` is the lab's, see `make_clocks`."""
    service = node.service
    volumes = [
        Volume(source=str(local_files.located(plan, each.source)), target=each.target, read_only=each.read_only)
        for each in service.volumes
    ]
    if node.name in plan.clocked:  # nodes do not see the lab's directory
        own = (str(directory / _CLOCK_LIBRARY), str(_shift(directory, node.name)))
        volumes += [Volume(source=each, target=each, read_only=True) for each in own]
    ids = _ids(service.user) if service.user else None
    return messages.Surroundings(
        hostname=service.hostname,
        resolver=name_servers.resolver(plan, node),
        volumes=tuple(volumes),
        tmpfs=service.tmpfs,
        user=None if os.geteuid() != 0 else ids,  # an ordinary user's lab has only the one user, root
        limits=service.ulimits,
        capabilities=_capabilities(service),
        privileged=service.privileged,
        shm_bytes=service.shm_bytes,
        cpuset=service.cpuset,
        pids_limit=service.pids_limit,
    )


def _capabilities(service: Service) -> tuple[str, ...]:
    """Return the capabilities that a node's programs can have, by the rules of Docker (oci/caps in its source)."""
    if service.privileged:
        return CAPABILITIES
    if "ALL" in service.cap_drop:
        kept = set(service.cap_add)
    elif "ALL" in service.cap_add:
        kept = set(CAPABILITIES) - set(service.cap_drop)
    else:
        kept = (set(_CAPABILITIES) - set(service.cap_drop)) | set(service.cap_add)
    return CAPABILITIES if "ALL" in kept else tuple(sorted(kept))


def environment(plan: Plan, node: Node, directory: Path) -> dict[str, str]:
    """Return the variables of a node's commands: as in a container, HOME is that of the user whom the file names.

    Args:
        plan: of the lab.
        node: one of its nodes.
        directory: of the lab, with the files of `make_clocks`.
    """
    known = _known(node.service.user.partition(":")[0]) if node.service.user else None
    variables = ({"HOME": known.pw_dir} if known else {}) | dict(node.environment)
    if node.name not in plan.clocked:
        return variables
    return clock.variables(str(directory / _CLOCK_LIBRARY), str(_shift(directory, node.name)), variables)


_CLOCK_LIBRARY = "clock.so"


def make_clocks(plan: Plan, directory: Path) -> None:
    """Write what the nodes need whose clock the timeline changes into the directory of the lab.

    Raises:
        MachineError: `no-compiler`.
    """
    if plan.clocked:
        (directory / _CLOCK_LIBRARY).write_bytes(clock.library())
    for node in plan.clocked:
        _shift(directory, node).write_bytes(clock.UNSHIFTED)


def _shift(directory: Path, node: str) -> Path:
    return directory / f"clock-{node}"


def stop_signal(node: Node) -> int:
    """Return the signal that asks a node's program to end."""
    return signal.Signals[node.service.stop_signal or "SIGTERM"].value


def stop_signals(plan: Plan) -> Mapping[str, int]:
    """Return the signals that ask nodes' programs to end, by node; of those that the file gives one."""
    return {node.name: stop_signal(node) for node in plan.nodes if node.service.stop_signal}


def hosts(node: Node) -> str:
    """Return the part of a node's /etc/hosts that is about itself, and has what the file asks for."""
    names = " ".join(dict.fromkeys((node.service.hostname or node.name, node.name)))
    lines = ["127.0.0.1 localhost", *["::1 localhost ip6-localhost ip6-loopback"] * node.has_ipv6]
    lines += [f"{address} {names}" for address in own_addresses(node)]
    lines += [f"{address} {name}" for name, address in node.service.extra_hosts]
    return "\n".join(lines) + "\n"


class Others:
    """The lines of /etc/hosts about other nodes, made once for all nodes that see them alike.

    Nodes do that are on the same networks and have the same routes. The lines of each are a file's worth of text, so in
    a lab of a thousand nodes on a network there is one text of a thousand lines.

    Attributes:
        texts: those of different lines.
    """

    def __init__(self, plan: Plan, paths: Sequence[Forwarding]) -> None:
        """`paths` are those of each family."""
        self.texts: list[str] = []
        self._plan = plan
        self._paths = paths
        self._numbers: dict[object, int] = {}

    def of(self, node: Node) -> int:
        """Return the number of the text of a node: every node that it reaches, by its addresses as seen from it."""
        alike = tuple(interface.network for interface in node.interfaces), node.routes
        if alike not in self._numbers:
            self._numbers[alike] = len(self.texts)
            lines = (
                f"{address} {other.name}\n"
                for other in self._plan.nodes  # itself too, as those like it see it
                for of_family in self._paths
                if (address := of_family.address(node.name, other.name))
            )
            self.texts.append("".join(lines))
        return self._numbers[alike]
