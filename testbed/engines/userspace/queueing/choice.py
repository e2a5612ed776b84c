"""Which queue carries out a discipline."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed.engines.userspace.queueing.disciplines import CoDelQueue, DropHeadQueue, DropTailQueue
from testbed.engines.userspace.queueing.dualpi2 import DualPi2Queue
from testbed.engines.userspace.queueing.fq_codel import FqCoDelQueue
from testbed.engines.userspace.queueing.pie import PieQueue
from testbed.engines.userspace.queueing.red import RedQueue
from testbed.engines.userspace.stages.stage import Counts, random_words
from testbed.impairments import Cake, CoDel, DropHead, DropTail, DualPi2, FqCoDel, Pie, Red

if TYPE_CHECKING:
    from testbed.engines.userspace.lines import Queue
    from testbed.impairments import Bottleneck


def new_queue(bottleneck: Bottleneck, seed: str, counts: Counts, now: int) -> Queue:
    """Return the empty queue of a bottleneck that begins at `now`.

    Raises:
        ValueError: the engine does not have the discipline.
    """
    queue: Queue
    match bottleneck.discipline:
        case DropTail():
            queue = DropTailQueue(counts)
        case DropHead():
            queue = DropHeadQueue(counts)
        case FqCoDel() as discipline:
            queue = FqCoDelQueue(discipline, counts, random_words(seed, "flows"))
        case CoDel() as discipline:
            queue = CoDelQueue(discipline, counts)
        case Pie() as discipline:
            queue = PieQueue(discipline, counts, random_words(seed, "pie"), now)
        case DualPi2() as discipline:
            queue = DualPi2Queue(discipline, counts, random_words(seed, "dualpi2"), now)
        case Red() as discipline:
            queue = RedQueue(discipline, bottleneck.rate.mean_bps, counts, random_words(seed, "red"))
        case Cake():
            raise ValueError("this engine has no CAKE")
    return queue
