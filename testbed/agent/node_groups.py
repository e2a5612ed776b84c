"""The cgroups of nodes of namespaces: made for limits of the file, and for faults as long as they last."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed.agent.journal import CgroupMade, Journal
from testbed.errors import LabError
from testbed.linux import cgroups

if TYPE_CHECKING:
    from pathlib import Path

    from testbed.agent.messages.creation import Surroundings
    from testbed.agent.node_commands import NodeCommands


class NodeGroups:
    """The cgroups of a lab's nodes. They are in the journal, for the command that takes the lab down."""

    def __init__(self, lab: str, commands: NodeCommands, journal: Path) -> None:
        """Make none yet.

        Args:
            lab: its name.
            commands: what runs in its nodes.
            journal: the lab's, where groups are written down before they are made.
        """
        self._lab = lab
        self._commands = commands
        self._journal = journal
        self._book: Journal | None = None
        self._groups: dict[tuple[str, str], Path] = {}

    def of(self, node: str, controller: str) -> Path:
        """Return the group of a node with a controller; it may have no processes yet.

        Raises:
            MachineError: `no-limits`, none can be made.
        """
        if found := self._groups.get((node, controller)):
            return found
        group = cgroups.place(controller) / f"testbed-{self._lab}-{node}"
        self._book = self._book or Journal.at(self._journal)
        self._book.write(CgroupMade(path=str(group)))
        cgroups.make(group)
        self._groups[node, controller] = group
        return group

    def fill(self, node: str, group: Path) -> None:
        """Move all processes of a node to its group, in which later ones then start.

        Raises:
            LabError: `limit-not-set`.
        """
        self._commands.limit(node, self._procs(node))
        try:
            cgroups.move(lambda: self._commands.pids(node), group)
        except OSError as error:
            raise LabError("limit-not-set", f"node {node}: the kernel moves no process to {group}: {error}") from None

    def confine(self, node: str, surroundings: Surroundings) -> None:
        """Give a node that has no processes yet the groups for the limits of the file.

        Raises:
            MachineError: `no-limits`.
            LabError: `limit-not-set`.
        """
        if surroundings.cpuset:
            cgroups.limit_cpu_set(self.of(node, "cpuset"), surroundings.cpuset)
        if surroundings.pids_limit:
            cgroups.limit_processes(self.of(node, "pids"), surroundings.pids_limit)
        if procs := self._procs(node):
            self._commands.limit(node, procs)

    def free(self, node: str) -> None:
        """End the limit on the CPU time of a node; do nothing if it has none.

        Raises:
            MachineError: `no-limits`.
            LabError: `limit-not-set`.
        """
        if group := self._groups.get((node, "cpu")):
            cgroups.limit_cpus(group, 0)
            self.give_up(node, "cpu")

    def give_up(self, node: str, controller: str) -> None:
        """Remove the group of a node that has no limits any more; do nothing if it has none.

        With version 2 of cgroups, all controllers of a node have one group, which goes with the last of them.

        Raises:
            LabError: `limit-not-set`.
        """
        if group := self._groups.pop((node, controller), None):
            self._commands.limit(node, self._procs(node))
            if group / "cgroup.procs" in self._procs(node):
                return
            try:
                cgroups.remove(group)
            except OSError as error:
                raise LabError("limit-not-set", f"node {node}: cgroup {group} can't be removed: {error}") from None

    def _procs(self, node: str) -> tuple[Path, ...]:
        found = (group / "cgroup.procs" for (name, _), group in self._groups.items() if name == node)
        return tuple(dict.fromkeys(found))

    def close(self) -> None:
        """Remove all groups.

        Raises:
            LabError: `limit-not-set`.
        """
        for node, controller in list(self._groups):
            self.give_up(node, controller)
        if self._book:
            self._book.close()
            self._book = None
