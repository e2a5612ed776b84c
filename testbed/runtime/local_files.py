"""The files of this machine that a plan names: volumes and directories of builds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from testbed.errors import MachineError

if TYPE_CHECKING:
    from testbed.plan.model import Plan


def located(plan: Plan, path: str) -> Path:
    """Return where a path of a plan is on this machine: relative to the topology's directory, `~` is the user's home.

    In a replay it is relative to the working directory.
    """
    return (Path(plan.directory) / Path(path).expanduser()).absolute()


def require(plan: Plan) -> None:
    """Require that all files are here, which a plan from another machine may not have brought along.

    Raises:
        MachineError: `missing-files`, which lists them.
    """
    missing = []
    for node in plan.nodes:
        missing += [f"{node.name}: volume {each.source}" for each in node.service.volumes if _lacks(plan, each.source)]
        if (build := node.service.build) and _lacks(plan, f"{build.context}/{build.dockerfile}"):
            missing.append(f"{node.name}: {build.dockerfile} of build {build.context}")
    if missing:
        raise MachineError(
            "missing-files",
            f"files of this machine that nodes need are not in {plan.directory}: {'; '.join(missing)}",
            "put them there, or run the command in the directory that has them",
        )


def _lacks(plan: Plan, path: str) -> bool:
    return not located(plan, path).exists()
