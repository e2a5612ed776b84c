"""Send at a steady rate: the number of messages of a stream, and the wait until the next one is due."""

from __future__ import annotations

from time import monotonic_ns, sleep
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from testbed.endpoint.spec import Spec

SECOND = 1_000_000_000

_SPIN_NS = 80_000  # the kernel wakes a sleeper up to 50 us late (its timer slack), and then has to schedule it
_SLEEP_NS = 100_000_000


class PacingOwner(Protocol):
    """The part of `testbed.endpoint.owner.Owner` that `wait_until` uses."""

    def check(self) -> None:
        """Raise `Stopped` if the endpoint is to stop."""

    def progress(self, fraction: float) -> None:
        """Report the fraction that is done."""


def count(spec: Spec) -> int:
    """Return the number of messages of a stream: those due at `rate_bps` before `duration_ns` is over.

    Message n is due when the bits of n messages are due. The first is due at once, so there is at least one.
    """
    parameters = spec.parameters
    bits: int = parameters["rate_bps"] * parameters["duration_ns"]
    message_bits: int = 8 * parameters["size_bytes"] * SECOND
    return -(-bits // message_bits)


def wait_until(due_ns: int, owner: PacingOwner, fraction: float) -> None:
    """Return at `due_ns`, or at once if that has passed. Sleep, except for the last 80 us.

    Raises:
        Stopped: the owner wants the endpoint to stop.
    """
    while (left := due_ns - monotonic_ns()) > 0:
        if left > _SPIN_NS:
            owner.check()
            owner.progress(fraction)
            sleep(min(left - _SPIN_NS, _SLEEP_NS) / 1e9)
