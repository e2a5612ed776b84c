"""The cgroups of nodes of namespaces: made when a fault limits a node, removed when it ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed.agent.journal import CgroupMade, Journal
from testbed.errors import LabError
from testbed.linux import cgroups

if TYPE_CHECKING:
    from pathlib import Path

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

    def give_up(self, node: str, controller: str) -> None:
        """Remove the group of a node, whose processes go on without its limits; do nothing if it has none.

        Raises:
            LabError: `limit-not-set`.
        """
        if group := self._groups.pop((node, controller), None):
            self._commands.limit(node, self._procs(node))
            try:
                cgroups.remove(group)
            except OSError as error:
                raise LabError("limit-not-set", f"node {node}: cgroup {group} can't be removed: {error}") from None

    def _procs(self, node: str) -> tuple[Path, ...]:
        return tuple(group / "cgroup.procs" for (name, _), group in self._groups.items() if name == node)

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
