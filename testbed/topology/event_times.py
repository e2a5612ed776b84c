"""When events of the timeline happen: once, or again and again."""

from collections.abc import Sequence

from testbed.topology.base import Model, key
from testbed.topology.values import Duration, SomeDuration


class Timed(Model):
    """Base of all events."""

    at_ns: Duration = key("Time of the event, from the start of the first workload", alias="at")
    every_ns: SomeDuration | None = key("Happen again after each such time", alias="every", default=None)
    until_ns: SomeDuration | None = key(
        "Happen again before this time; the end of the workloads unless given", alias="until", default=None
    )

    def times_ns(self, end_ns: int | None) -> Sequence[int]:
        """Return when the event happens, ns; not one by one, as a file may ask for more times than there is memory.

        Args:
            end_ns: when the workloads end; None if that is not known in advance.
        """
        until_ns = end_ns if self.until_ns is None else self.until_ns
        if self.every_ns is None or until_ns is None:
            return (self.at_ns,)
        return range(self.at_ns, until_ns, self.every_ns) or (self.at_ns,)
