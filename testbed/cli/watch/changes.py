"""What the keys of the live view change in a lab: impairments, partitions, faults of nodes."""

from __future__ import annotations

import shlex
import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING

from testbed.cli import options
from testbed.errors import TestbedError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from testbed.lab import Lab, LinkState, NodeState


class Changes:
    """Changes a lab, one change at a time. Its methods return a line that says what they have done.

    Args:
        lab: the lab.
        ended: set once the view has ended; nothing is changed from then on but by `heal`.
    """

    def __init__(self, lab: Lab, ended: threading.Event) -> None:
        self._lab = lab
        self._ended = ended
        self._partitions = ExitStack()
        self._exclusive = threading.RLock()

    def carry_out(self, change: Callable[[], str]) -> str | None:
        """Make a change and return what it says, or its error; None if the view has ended."""
        with self._exclusive:
            if self._ended.is_set():
                return None  # a partition would outlast the view that ends it
            try:
                return change()
            except TestbedError as error:
                return str(error)

    def impair(self, link: LinkState, text: str) -> str:
        """Change impairments of a link, as `testbed impair` does: `loss=10% delay=80ms`.

        Raises:
            UsageError: the text is wrong.
            LabError: the link could not be changed.
        """
        source, destination, network, match = link.key
        handle = self._lab.link(source, destination, network, match=match)
        return f"{link.name}: {handle.update(**options.key_values(_words(text))).describe()}"

    def partition(self, text: str) -> str:
        """Let no packet pass between groups of nodes until `heal`: `a b | c`.

        Raises:
            UsageError: the text is wrong.
            LabError: the links could not be changed.
        """
        groups = [group.replace(",", " ").split() for group in text.split("|")]
        self._partitions.enter_context(self._lab.partition(*groups))
        return f"partition: {text}; h heals it, and so does the end of this view"

    def heal(self) -> str:
        """End the partitions that were made here.

        Raises:
            LabError: the links could not be changed.
        """
        with self._exclusive:
            self._partitions.close()
        return "no partition of this view is in force"

    def pause(self, node: NodeState) -> str:
        """Pause a node; if a fault keeps it from running, let it run again.

        Raises:
            LabError: the node can't be controlled.
            MachineError: the processes of the node are not the lab's.
        """
        fault = {"paused": "unpause", "stopped": "start"}.get(node.state if node.by_fault else "", "pause")
        return ", ".join(self._lab.bring_about(node.name, fault, True))  # noqa: FBT003


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as error:
        raise UsageError("not-key-value", f"{text!r}: {error}", "write it like loss=10% delay=80ms") from None
