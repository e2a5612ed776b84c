"""The lookups of names that are changed, by node."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from testbed.agent.faults.names.lookups import Lookups

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from testbed.agent.nodes import NodeNamespaces
    from testbed.agent.wiring import Wiring
    from testbed.faults import NameFault


class Names:
    """What is wrong with the names that programs of a lab's nodes look up."""

    def __init__(self, wiring: Wiring) -> None:
        self._wiring = wiring
        self._lookups: dict[str, Lookups] = {}
        self._prepared: set[str] = set()

    async def prepare(self, node: NodeNamespaces, hosts: Callable[[int], int], resolver: str) -> None:
        """Redirect a node's questions already, with right answers, until `release`: `set` then takes effect at once.

        Raises:
            LabError, MachineError: as `set`.
        """
        if node.name not in self._lookups:
            await self._begin(node, {}, hosts, resolver)
        self._prepared.add(node.name)

    async def release(self, node: str) -> None:
        """End what `prepare` has begun, when nothing is wrong with names for the node."""
        if node in self._prepared:
            self._prepared.remove(node)
            await self.forget(node)

    async def set(
        self, node: NodeNamespaces, wrong: Mapping[str, NameFault], hosts: Callable[[int], int], resolver: str
    ) -> int:
        """Set all that is wrong with names for a node.

        Args:
            node: as it is now.
            wrong: by name, in lower case.
            hosts: opens its /etc/hosts with flags of open(2).
            resolver: the text of its /etc/resolv.conf.

        Returns:
            When it was so, ns of the monotonic clock; what is no longer needed is removed after that.

        Raises:
            LabError, MachineError: it can't be.
        """
        found = self._lookups.get(node.name)
        if found and found.number != node.number:  # the container has started anew
            await self.forget(node.name)
            found = None
        if not wrong:
            if found:
                found.set(wrong)
            done_ns = time.monotonic_ns()
            if node.name not in self._prepared:
                await self.forget(node.name)
            return done_ns
        if found:
            found.set(wrong)
        else:
            await self._begin(node, wrong, hosts, resolver)
        return time.monotonic_ns()

    async def _begin(
        self, node: NodeNamespaces, wrong: Mapping[str, NameFault], hosts: Callable[[int], int], resolver: str
    ) -> None:
        found = Lookups(node, hosts, resolver, lambda other: self._addresses(node.name, other))
        try:
            await found.start()
            found.set(wrong)
        except BaseException:
            await found.close()
            raise
        self._lookups[node.name] = found

    async def forget(self, node: str) -> None:
        """Make a node look up names as before, if it is still there."""
        if found := self._lookups.pop(node, None):
            await found.close()

    def _addresses(self, asking: str, node: str) -> Iterator[str]:
        """Yield the addresses of a node; where it shares a network with the one that asks, those on such networks."""
        mine = {network for name, network in self._wiring.ports if name == asking}
        ports = [port for (name, _), port in self._wiring.ports.items() if name == node]
        for port in [port for port in ports if port.network in mine] or ports:
            yield from port.addresses
