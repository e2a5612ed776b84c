"""The options of a container that a plan's service keys ask for, and what the Docker Engine's refusals of them mean."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any

from docker.types import Mount, Ulimit

from testbed.errors import MachineError
from testbed.runtime import local_files, ports
from testbed.runtime.docker.engine import in_parallel, refusals

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from testbed.errors import LabError, TestbedError
    from testbed.plan.model import Plan
    from testbed.plan.nodes import Node
    from testbed.runtime.docker.engine import DockerEngine
    from testbed.services import PublishedPort, Volume

STOP_SIGNAL = "testbed.stop-signal"
"""The label of containers whose program is asked to end before they are removed."""

_LAB = "testbed.lab"
"""As `objects.LAB`, which imports this module."""

_STOPPING_SECONDS = 10
"""In which a program ends after its stop signal, as Docker Compose's `stop_grace_period`; then it is killed."""

_IN_USE = re.compile(r"port is already allocated|address already in use")


def container_options(node: Node) -> dict[str, Any]:
    """Return arguments of `create_container`."""
    service = node.service
    options: dict[str, Any] = {
        "hostname": service.hostname or node.name,
        "entrypoint": list(service.entrypoint) or None,
        "user": service.user or None,
        "working_dir": service.working_dir or None,
        "stop_signal": service.stop_signal or None,
        "ports": [(port.port, port.protocol) for port in service.ports] or None,
    }
    return options | ({"platform": service.platform} if service.platform else {})


def labels(node: Node) -> dict[str, str]:
    """Return the labels of a container beside those by which it is found."""
    stop = {STOP_SIGNAL: node.service.stop_signal} if node.service.stop_signal else {}
    return dict(node.service.labels) | stop


def host_options(plan: Plan, node: Node, hosts: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """Return arguments of `create_host_config`; limits on CPU time and memory, and sysctls, are not among them.

    Args:
        plan: of the lab.
        node: the node.
        hosts: names and addresses of nodes that its networks' DNS does not know.
    """
    service = node.service
    bindings: dict[str, list[Any]] = {}
    for port in service.ports:
        bound = (port.host_address, port.host_port or None) if port.host_address else port.host_port or None
        bindings.setdefault(f"{port.port}/{port.protocol}", []).append(bound)
    policy, _, count = service.restart.partition(":")
    mounts = [mount for each in service.volumes if (mount := _mount(plan, each))]
    return {
        "mounts": mounts or None,
        "tmpfs": {each.target: ",".join(each.options) for each in service.tmpfs} or None,
        "port_bindings": bindings or None,
        "cap_add": list(service.cap_add) or None,
        "cap_drop": list(service.cap_drop) or None,
        "devices": [f"{each.host}:{each.container}:{each.permissions}" for each in service.devices] or None,
        "privileged": service.privileged,
        "ulimits": [Ulimit(name=each.name, soft=each.soft, hard=each.hard) for each in service.ulimits] or None,
        "cpuset_cpus": service.cpuset or None,
        "pids_limit": service.pids_limit or None,
        "extra_hosts": [f"{name}:{address}" for name, address in (*service.extra_hosts, *hosts)] or None,
        "dns": list(service.dns) or None,
        "restart_policy": {"Name": policy, "MaximumRetryCount": int(count or 0)} if policy else None,
        "shm_size": service.shm_bytes or None,
    }


def _mount(plan: Plan, volume: Volume) -> Mount | None:
    """Return the mount of a volume; other machines have copies, those of single files within the container."""
    source = local_files.located(plan, volume.source)
    if not plan.hosts:
        return Mount(volume.target, str(source), type="bind", read_only=volume.read_only)
    if not source.is_dir():
        return None
    return Mount(volume.target, copy_name(plan, volume.source), type="volume", read_only=True, no_copy=True)


def copy_name(plan: Plan, source: str) -> str:
    """Return the name of the Docker Engine's volume with a copy of a directory of this machine."""
    place = str(local_files.located(plan, source).resolve())
    return f"testbed-{plan.lab}.{hashlib.sha256(place.encode()).hexdigest()[:12]}"


def refused(node: Node, error: LabError) -> TestbedError:
    """Return the error of a container that the Docker Engine refused to create: of CPUs that its machine has not."""
    if not node.service.cpuset or "CPUs are not available" not in error.message:
        return error
    return MachineError("too-few-cpus", f"{error.message} (its cpuset)", "name CPUs of those that are available")


def explained(node: Node, error: LabError, holder: Callable[[PublishedPort], str]) -> LabError:
    """Return the error of a container that the Docker Engine refused to start, with the fix if it is about a port.

    Args:
        node: the container's.
        error: the Docker Engine's.
        holder: says who has a port, see `holder`.
    """
    if not _IN_USE.search(error.message):
        return error
    found = re.search(r":(\d+)(?: failed|: bind)", error.message)
    port = next((each for each in node.service.ports if found and each.host_port == int(found[1])), None)
    return ports.in_use(node.name, port, holder(port) if port else "")


def holder(engine: DockerEngine, port: PublishedPort) -> str:
    """Return the lab, container or program that has a port, in words; empty where it can't be found."""
    with refusals("list of containers"):
        found = engine.api.containers(filters={"publish": f"{port.host_port}/{port.protocol}"})
    for container in found:
        lab = container["Labels"].get(_LAB)
        return f"lab {lab}" if lab else f"container {container['Names'][0].lstrip('/')}"
    return ports.holder_of(port) if engine.hosts_agent else ""


def stop_gracefully(engine: DockerEngine, lab: str) -> None:
    """Send the programs of a lab the stop signals that the file gives them; leave those without one alone."""
    containers = [each for each in engine.containers(lab=lab, node=None) if STOP_SIGNAL in each["Labels"]]

    def stop(container: str) -> None:
        with refusals("stop"):
            engine.api.stop(container, timeout=_STOPPING_SECONDS)

    in_parallel(stop, [each["Id"] for each in containers if each["State"] == "running"])
