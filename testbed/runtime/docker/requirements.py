"""What a plan needs of a Docker Engine and this machine: files, images, limits on CPUs, memory and processes."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from testbed.errors import MachineError
from testbed.faults import FillDisk, NameFault, SlowDisk, Throttle
from testbed.runtime import local_files
from testbed.runtime.docker import clocks, macs, objects
from testbed.runtime.docker.engine import in_parallel

if TYPE_CHECKING:
    from testbed.plan.model import Plan
    from testbed.plan.nodes import Node
    from testbed.runtime.docker.engine import DockerEngine


def require(engine: DockerEngine, plan: Plan) -> None:
    """Require what the nodes of a plan need; pull images that are missing.

    Limits are checked, because a Docker Engine that lacks them ignores them with a warning.

    Raises:
        MachineError: `image-missing`, `image-unavailable`, `mac-not-possible`, `no-limits`, `too-few-cpus`,
            `missing-files`, `no-clock`, `no-compiler`, `not-controlled`.
    """
    local_files.require(plan)
    macs.require_possible(engine, plan)
    clocks.require(plan)
    images = {
        (node.image or objects.OWN_IMAGE, node.service.platform, node.service.pull_policy != "never")
        for node in plan.nodes
        if not node.service.build and not node.container
    }
    images |= set() if engine.hosts_agent else {(objects.OWN_IMAGE, "", True)}
    in_parallel(partial(_ensure_image, engine), sorted(images))
    info = engine.info() if plan.limited else {}
    asked = {node: [node.cpus_milli] for node in plan.nodes if node.name in plan.limited}
    for fault in plan.faults:
        if isinstance(fault, NameFault | FillDisk | SlowDisk) and (container := plan.node(fault.node).container):
            message = f"the timeline has {fault}, and container {container} runs already: names and disks stay its own"
            raise MachineError("not-controlled", message, "leave the event out, or let the lab make the node")
        if isinstance(fault, Throttle):
            asked[plan.node(fault.node)].append(fault.cpus_milli)
    for node, cpus_milli in asked.items():
        if node.memory_bytes and not info["MemoryLimit"]:
            raise _no_limit(node, "memory", "memory")
        if node.service.cpuset and not info["CPUSet"]:
            raise _no_limit(node, "the CPUs it may use", "cpuset")
        if node.service.pids_limit and not info["PidsLimit"]:
            raise _no_limit(node, "processes", "pids_limit")
        if any(cpus_milli) and not info["CpuCfsQuota"]:
            raise _no_limit(node, "CPU time", "cpus")
        if max(cpus_milli) > info["NCPU"] * 1000:
            message = f"node {node.name} asks for {max(cpus_milli) / 1000:g} CPUs of {info['NCPU']}"
            raise MachineError("too-few-cpus", message, f"lower its cpus to {info['NCPU']} or less")


def _ensure_image(engine: DockerEngine, wanted: tuple[str, str, bool]) -> None:
    image, platform, may_pull = wanted
    objects.ensure_image(engine, image, platform, may_pull=may_pull)


def _no_limit(node: Node, what: str, key: str) -> MachineError:
    message = f"node {node.name} asks for a limit on {what}, which the Docker Engine can't set here"
    return MachineError("no-limits", message, f"leave its {key} out, or enable that cgroup controller")
