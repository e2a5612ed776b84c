"""The nodes and links of a lab that is up, for the public API."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from testbed import arguments
from testbed.agent import messages
from testbed.lab import bringup

if TYPE_CHECKING:
    from collections.abc import Sequence

    from testbed.agent.client import Agent
    from testbed.impairments import Impairments
    from testbed.matching import LinkKey
    from testbed.plan.model import Link, Plan
    from testbed.runtime import Completed, Runtime


def argv_of(command: Sequence[str] | str) -> Sequence[str]:
    """Return the words of a command.

    Raises:
        UsageError: `bad-command`: the value is not a command.
    """
    is_list = isinstance(command, list | tuple) and bool(command)
    if is_list and all(type(word) is str and "\0" not in word for word in command):
        return command
    from testbed.topology.values import command_words  # noqa: PLC0415  # slow to import and seldom needed

    return command_words(command)


class NodeHandle:
    """A node of a lab that is up."""

    def __init__(self, lab: str, name: str, runtime: Runtime) -> None:
        self.name = name
        self._lab = lab
        self._runtime = runtime

    def run(self, argv: Sequence[str] | str, *, stdin: bytes | str = b"", timeout: float | None = None) -> Completed:
        """Run a command in the node and wait for it.

        Args:
            argv: the command: its words, or text that is split into words as a shell would, without running a shell.
            stdin: its standard input.
            timeout: seconds after which the command is killed.

        Raises:
            UsageError: `bad-command`, `bad-argument`: an argument is of a wrong type.
            LabError: `command-timeout`.
        """
        return self._runtime.run(
            self._lab,
            self.name,
            argv_of(argv),
            stdin=arguments.octets(stdin, "stdin"),
            timeout=arguments.seconds(timeout, "timeout"),
        )


class LinkHandle:
    """One direction between two nodes of a lab that is up."""

    def __init__(self, plan: Plan, agent: Agent, link: Link) -> None:
        self._plan = plan
        self._agent = agent
        self._link = link

    @property
    def name(self) -> str:
        """The link's name: `client -> server (udp port 53)`."""
        return self._link.name

    @property
    def impairments(self) -> Impairments:
        """The impairments that the link has now."""
        return self._present().get(self._link.key, self._link.impairments)

    def _present(self) -> dict[LinkKey, Impairments]:
        """Return the impairments of all links that have some, in the order in which they select packets."""
        return {link.key: link.impairments for link in self._agent.call(messages.Statistics())}

    def update(self, **to: object) -> Impairments:
        """Change impairments of the link: `update(loss="10%", blackhole=False, drop=[3, 17])`. Other keys stay.

        The impairments are replaced as a whole; packets already on the link are not affected.

        Args:
            to: keys of a link in a topology file (delay, jitter, loss, rate, queue) with their values, see
                `testbed.plan.changes.changed`.

        Returns:
            The new impairments.

        Raises:
            UsageError: a key or a value is wrong; `unreachable-match`: other links take all of its packets.
            LabError: the impairments could not be applied.
        """
        from testbed.plan import changes  # noqa: PLC0415  # as above

        present = self._present()
        changes.require_packets(self._link.key, present)
        now = present.get(self._link.key, self._link.impairments)
        link = changes.changed(self._plan, replace(self._link, impairments=now), to)
        self._agent.call(messages.Impair(links=bringup.as_requests(self._plan, [link])))
        return link.impairments
