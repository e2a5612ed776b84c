"""Regular samples of the counters of links, for a client that records them during a run.

A look at the counters of a link costs the engine some 30 us in user space, and a millisecond with netem, so that busy
links are looked at up to ten times a second, the others once a second in turn, and less often where there are so many
that it would take the agent more than a fiftieth of a core. A link whose counters don't change has no samples but the
last before a change.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from typing import TYPE_CHECKING

from testbed.agent.messages import LinkSamples
from testbed.agent.tasks import cancelled
from testbed.engines.counters import DROPS
from testbed.errors import LabError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence

    from testbed.agent.connection import Connection
    from testbed.agent.messages import SampleLinks
    from testbed.engines.counters import Counters

    Count = Callable[[Collection[str]], Awaitable[dict[str, Counters]]]
    """Returns the counters of links by name, without those that have none at the moment."""

_log = logging.getLogger(__name__)

_SHARE = 50
"""Looking takes at most one part in so many of a core. That is processor time: on a busy machine all takes longer."""

_LONGEST_REST_S = 2.0
_ROUND_S = 1.0
"""In which all links that are idle are looked at."""

_IDLE_MOST = 128
"""Idle links in one look, so that busy ones are not looked at less often for them; with very many a round takes longer.
"""

_AT_ONCE = 16
"""Links that are looked at before other calls have their turn."""

_ROWS = 20
"""The samples of a link that are sent together."""

COLUMNS = (
    "packets_in",
    "bytes_in",
    "packets_out",
    "bytes_out",
    *DROPS,
    "marked",
    "in_flight",
    "queued",
    "queued_bytes",
)
"""The counters that are recorded; see `testbed.engines.counters`."""

_Row = tuple[int, ...]


class _Course:
    """The samples of one link that are not sent yet.

    Attributes:
        changed_ns: when the counters had last changed.
    """

    def __init__(self, name: str) -> None:
        self.changed_ns = 0
        self._name = name
        self._columns: tuple[str, ...] = ()
        self._rows: list[_Row] = []
        self._latest: _Row = ()
        self._is_told = False  # whether the latest look is a sample

    def add(self, at_ns: int, counters: Counters) -> Iterator[LinkSamples]:
        """Add a look, and yield the samples that are to be sent now."""
        if counters.dead is not None:
            return
        found = [(name, value) for name in COLUMNS if (value := getattr(counters, name)) is not None]
        columns, values = tuple(name for name, _ in found), tuple(value for _, value in found)
        if columns != self._columns:  # another engine, or a bottleneck
            yield from self.end()
            self._columns, self._latest = columns, ()
        row = (at_ns, *values)
        if self._latest and self._latest[1:] != values:
            if not self._is_told:
                self._rows.append(self._latest)
            self._rows.append(row)
            self.changed_ns = at_ns
            self._is_told = True
        else:
            self._is_told = False
        self._latest = row
        if len(self._rows) >= _ROWS:
            yield self._take()

    def end(self) -> Iterator[LinkSamples]:
        """Yield the samples that are left, up to the latest look; none of a link whose counters never changed."""
        if self.changed_ns and not self._is_told:
            self._rows.append(self._latest)
            self._is_told = True
        if self._rows:
            yield self._take()

    def _take(self) -> LinkSamples:
        rows, self._rows = self._rows, []
        names = ("at_ns", *self._columns)
        return LinkSamples(link=self._name, columns=dict(zip(names, zip(*rows, strict=True), strict=True)))


async def record(connection: Connection, call: SampleLinks, names: Callable[[], Sequence[str]], count: Count) -> None:
    """Send samples of the links' counters to a client, until it sends anything or closes the connection.

    Args:
        connection: to the client.
        call: with the least time between two samples of a link.
        names: returns the names of all links.
        count: reads counters.
    """
    ended = asyncio.create_task(connection.receive())
    courses: dict[str, _Course] = {}
    turn = 0
    looks, used_s, begun_s = 0, 0.0, time.monotonic()
    least_s = rest_s = call.interval_ns / 1e9

    async def look(links: Sequence[str]) -> None:
        for start in range(0, len(links), _AT_ONCE):
            part = links[start : start + _AT_ONCE]
            try:
                found = await count(part)
            except LabError as error:  # a device goes at that moment; if it stays away, the run's end says so
                _log.debug("no sample of %s: %s", part, error)
                continue
            at_ns = time.monotonic_ns()
            for name, counters in found.items():
                for samples in courses.setdefault(name, _Course(name)).add(at_ns, counters):
                    await connection.send_event(samples)

    try:
        while not ended.done():
            present = names()
            since_ns = time.monotonic_ns() - int(_ROUND_S * 1e9)
            busy = [name for name in present if name in courses and courses[name].changed_ns > since_ns]
            idle = [name for name in present if name not in courses or courses[name].changed_ns <= since_ns]
            share = min(_IDLE_MOST, math.ceil(len(idle) * least_s / _ROUND_S))
            due = [idle[(turn + place) % len(idle)] for place in range(share)]
            turn += share
            looked_s, cost_s = time.monotonic(), time.process_time()
            await look([*busy, *due])
            cost_s = time.process_time() - cost_s
            looks, used_s = looks + 1, used_s + cost_s
            rest_s = max(least_s, min(_SHARE * cost_s, _LONGEST_REST_S))
            await asyncio.wait([ended], timeout=max(0.0, looked_s + rest_s - time.monotonic()))
        await look(names())
        for course in courses.values():
            for samples in course.end():
                await connection.send_event(samples)
    finally:
        await cancelled(ended)
    _log.info("looked %d times at links' counters in %.1f s: %.3f s", looks, time.monotonic() - begun_s, used_s)
