"""The machine's forwarding of packets, where a lab of network namespaces needs it and the machine forwards nothing.

The kernel asks the interface that a packet comes in by whether to forward it. So labs switch forwarding on for each
interface of the machine, and leave the switch for all of them, `ip_forward`, alone: it says whether somebody else (an
administrator, a Docker Engine that starts) wants the machine to forward. Then the kernel forwards by all interfaces,
labs keep nothing back, and what they have switched on stays on.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from testbed.agent import exit_rules, machine, nft
from testbed.agent.journal import ForwardsBy
from testbed.errors import TestbedError
from testbed.linux import namespaces

if TYPE_CHECKING:
    from testbed.agent.journal import Journal

_log = logging.getLogger(__name__)

_LOOK_SECONDS = 1.0
_WHOSE = "a network leads out of the lab"


class MachineForwarding:
    """Makes the machine forward packets for a lab, but no others because of that."""

    def __init__(self, lab: str, network: int, journal: Journal) -> None:
        """Switch nothing yet.

        Args:
            lab: its name.
            network: file descriptor of the machine's namespace.
            journal: where each interface is written before its forwarding is switched on.
        """
        self._table = exit_rules.table(lab)
        self._network = network
        self._journal = journal
        self._opened: set[str] = set()

    def adapt(self) -> None:
        """Switch forwarding on where the machine lacks it. Call it in its namespace, with `machine.exclusive`.

        Raises:
            MachineError: `no-nft`.
            LabError: `filter-refused`.
            OSError: /proc/sys or the journal can't be written.
        """
        if machine.forwards():
            if self._opened:
                nft.load(self._network, exit_rules.release_others(self._table), _WHOSE, "")
                self._opened = set()
                _log.info("somebody else has switched the machine's forwarding on")
            return
        closed = machine.interfaces_that_do_not_forward()
        opened = {*closed, *exit_rules.opened(self._network)}  # what other labs have opened was closed before, too
        for interface in sorted(opened - self._opened):
            self._journal.write(ForwardsBy(interface=interface))
        nft.load(self._network, exit_rules.keep_others(self._table, sorted(opened)), _WHOSE, "")
        for interface in closed:
            machine.set_forwarding(interface, on=True)
        self._opened = opened

    async def watch(self) -> None:
        """Adapt to interfaces that appear, and to somebody who switches forwarding on or off, until cancelled."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            try:
                with namespaces.inside(self._network):
                    if not self._is_adapted():
                        with machine.exclusive(self._network):
                            self.adapt()
            except (TestbedError, OSError) as error:
                _log.warning("the machine's forwarding stays as it is: %s", error)

    def _is_adapted(self) -> bool:
        if machine.forwards():
            return not self._opened
        return bool(self._opened) and not machine.interfaces_that_do_not_forward()
