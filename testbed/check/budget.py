"""How thorough a check is, how long it may take, and which links come first."""

from __future__ import annotations

import random
from dataclasses import dataclass
from itertools import chain, zip_longest
from time import monotonic
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Sequence

_OVERRUN = 1.25
"""The multiple of the budget after which measurements that still run are ended."""


class _OfAKind(Protocol):
    @property
    def kind(self) -> Hashable:
        """A value that is equal for links of one kind."""


Item = TypeVar("Item", bound=_OfAKind)


@dataclass(frozen=True, slots=True, kw_only=True)
class Depth:
    """How thoroughly links are measured.

    Attributes:
        probes_ns: how long each link is probed for delay and loss; longer where that gives too few samples.
        train_ns: how long each link with a bottleneck is kept busy; longer where that gives too few samples.
        queues: whether the depth of queues is measured.
        budget_s: how long the check may take by default, in seconds.
    """

    probes_ns: int
    train_ns: int
    queues: bool
    budget_s: float


QUICK = Depth(probes_ns=1_800_000_000, train_ns=100_000_000, queues=False, budget_s=20)
"""Before a run: a few seconds."""

DEEP = Depth(probes_ns=20_000_000_000, train_ns=1_000_000_000, queues=True, budget_s=300)
"""Everything that can be measured: half a minute, or more with many links."""


class Budget:
    """The time that a check may take, counted from the creation of this object.

    Attributes:
        seconds: the time that the check may take.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._begun = monotonic()

    def allows(self, lasts_ns: int) -> bool:
        """Return whether a measurement of this length ends within the budget if it begins now."""
        return monotonic() - self._begun + lasts_ns / 1e9 <= self.seconds

    @property
    def overrun(self) -> bool:
        """Whether the check has exceeded the budget so far that running measurements must be ended."""
        return monotonic() - self._begun > self.seconds * _OVERRUN

    def exceeded(self, lasts_ns: int = 0) -> str:
        """Return the reason of a measurement for which the budget leaves no time, and which takes `lasts_ns`."""
        if lasts_ns > self.seconds * 1e9:
            return f"it takes {lasts_ns / 1e9:.0f} s, the check may take {self.seconds:g} s (--check-budget)"
        return f"the check may take {self.seconds:g} s (--check-budget)"


def rounds(items: Sequence[Item], size: int) -> Iterator[list[Item]]:
    """Yield the items in lists of at most `size`: first one of each kind, then a second of each, and so on.

    Where there are several rounds, the items of a kind are drawn by lot, always in the same order: if there is no time
    for all of them, those that are left out are spread over all nodes.
    """
    kinds: dict[Hashable, list[Item]] = {}
    for item in items:
        kinds.setdefault(item.kind, []).append(item)
    if len(items) > size:
        draw = random.Random(0)
        for alike in kinds.values():
            draw.shuffle(alike)
    order = [item for item in chain.from_iterable(zip_longest(*kinds.values())) if item is not None]
    for start in range(0, len(order), size):
        yield order[start : start + size]
