"""A steady rate: how many messages a stream has, and the wait until the next is due."""

from __future__ import annotations

from time import monotonic_ns, sleep
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from testbed.endpoint.spec import Spec

SECOND = 1_000_000_000

_SPIN_NS = 80_000  # the kernel wakes a sleeper up to 50 us late (its timer slack), and then has to schedule it
_SLEEP_NS = 100_000_000


class Owner(Protocol):
    """Who wants to know while an endpoint waits, see `testbed.endpoint.owner.Owner`."""

    def check(self) -> None:
        """Raise `Stopped` where the endpoint is to end."""

    def progress(self, fraction: float) -> None:
        """Tell how much is done."""


def count(spec: Spec) -> int:
    """How many messages of `size_bytes` a stream at `rate_bps` has: those due before `duration_ns` is over.

    Message n is due when n messages' bits are, the first at once; so there is at least one.
    """
    parameters = spec.parameters
    bits: int = parameters["rate_bps"] * parameters["duration_ns"]
    message_bits: int = 8 * parameters["size_bytes"] * SECOND
    return -(-bits // message_bits)


def wait_until(due_ns: int, owner: Owner, fraction: float) -> None:
    """Return at `due_ns`, or at once if that has passed: asleep, but for the last moment.

    Raises:
        Stopped: the owner wants us to end.
    """
    while (left := due_ns - monotonic_ns()) > 0:
        if left > _SPIN_NS:
            owner.check()
            owner.progress(fraction)
            sleep(min(left - _SPIN_NS, _SLEEP_NS) / 1e9)
