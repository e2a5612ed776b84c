"""Changes of the clocks of nodes, see `testbed.linux.clock`."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from testbed.errors import LabError, MachineError
from testbed.linux import clock

if TYPE_CHECKING:
    from pathlib import Path


def shift(node: str, path: Path, offset_ns: int, drift_ppb: int) -> int:
    """Change the clock of a node, and return when it was done, ns of the monotonic clock.

    Raises:
        MachineError: `no-clock`, the node was started without one.
        LabError: `clock-not-set`.
    """
    try:
        clock.shift(path, offset_ns, drift_ppb)
    except FileNotFoundError:
        raise without_one(node) from None
    except OSError as error:
        message = f"the clock of node {node} could not be changed: {os.strerror(error.errno or 0)}"
        raise LabError("clock-not-set", message) from None
    return time.monotonic_ns()


def without_one(node: str) -> MachineError:
    """Return the error for a node that has no clock of its own."""
    message = f"node {node} has no clock of its own: nodes get one when they start, if the lab's file changes it"
    hint = "give the timeline of the lab's file an event with clock for this node, and bring the lab up again"
    return MachineError("no-clock", message, hint)
