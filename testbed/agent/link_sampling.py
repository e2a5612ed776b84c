"""Regular samples of the counters of links, for a client that records them during a run.

To read the counters of a link takes the userspace engine some 30 us, and netem a millisecond. So busy links are read up
to ten times a second, the others once a second in turn, and all less often where they are so many that it would take
the agent more than a fiftieth of a core. A link whose counters don't change has no samples but the
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

    from testbed.agent.connection import ServerConnection
    from testbed.agent.messages import SampleLinks
    from testbed.engines.counters import Counters

    Count = Callable[[Collection[str]], Awaitable[dict[str, Counters]]]
    """Returns the counters of links by name, without those that have none at the moment."""

_log = logging.getLogger(__name__)

_SHARE = 50
"""Reading takes at most one part in so many of a core. That is processor time: on a busy machine all takes longer."""

_LONGEST_REST_S = 2.0
_ROUND_S = 1.0
"""In which the counters of all idle links are read."""

_IDLE_MOST = 128
"""Idle links read at a time, so that busy ones are not read less often; with very many links, a round takes longer."""

_AT_ONCE = 16
"""Links that are read before other calls have their turn."""

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


class _Pending:
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
        self._is_sampled = False  # whether the latest reading is a sample

    def add(self, at_ns: int, counters: Counters) -> Iterator[LinkSamples]:
        """Add a reading of the counters, and yield the samples to send now."""
        if counters.dead is not None:
            return
        found = [(name, value) for name in COLUMNS if (value := getattr(counters, name)) is not None]
        columns, values = tuple(name for name, _ in found), tuple(value for _, value in found)
        if columns != self._columns:  # another engine, or a bottleneck
            yield from self.end()
            self._columns, self._latest = columns, ()
        row = (at_ns, *values)
        if self._latest and self._latest[1:] != values:
            if not self._is_sampled:
                self._rows.append(self._latest)
            self._rows.append(row)
            self.changed_ns = at_ns
            self._is_sampled = True
        else:
            self._is_sampled = False
        self._latest = row
        if len(self._rows) >= _ROWS:
            yield self._take()

    def end(self) -> Iterator[LinkSamples]:
        """Yield the samples that are left, up to the latest reading; none if the counters never changed."""
        if self.changed_ns and not self._is_sampled:
            self._rows.append(self._latest)
            self._is_sampled = True
        if self._rows:
            yield self._take()

    def _take(self) -> LinkSamples:
        rows, self._rows = self._rows, []
        names = ("at_ns", *self._columns)
        return LinkSamples(link=self._name, columns=dict(zip(names, zip(*rows, strict=True), strict=True)))


async def record(
    connection: ServerConnection, call: SampleLinks, names: Callable[[], Sequence[str]], count: Count
) -> None:
    """Send samples of the links' counters to a client, until it sends anything or closes the connection.

    Args:
        connection: to the client.
        call: with the least time between two samples of a link.
        names: returns the names of all links.
        count: reads counters.
    """
    ended = asyncio.create_task(connection.receive())
    pending: dict[str, _Pending] = {}
    turn = 0
    reads, used_s, begun_s = 0, 0.0, time.monotonic()
    least_s = rest_s = call.interval_ns / 1e9

    async def read(links: Sequence[str]) -> None:
        for start in range(0, len(links), _AT_ONCE):
            part = links[start : start + _AT_ONCE]
            try:
                found = await count(part)
            except LabError as error:  # a device goes at that moment; if it stays away, the run's end says so
                _log.debug("no sample of %s: %s", part, error)
                continue
            at_ns = time.monotonic_ns()
            for name, counters in found.items():
                for samples in pending.setdefault(name, _Pending(name)).add(at_ns, counters):
                    await connection.send_event(samples)

    try:
        while not ended.done():
            present = names()
            since_ns = time.monotonic_ns() - int(_ROUND_S * 1e9)
            busy = [name for name in present if name in pending and pending[name].changed_ns > since_ns]
            idle = [name for name in present if name not in pending or pending[name].changed_ns <= since_ns]
            share = min(_IDLE_MOST, math.ceil(len(idle) * least_s / _ROUND_S))
            due = [idle[(turn + place) % len(idle)] for place in range(share)]
            turn += share
            read_s, cost_s = time.monotonic(), time.process_time()
            await read([*busy, *due])
            cost_s = time.process_time() - cost_s
            reads, used_s = reads + 1, used_s + cost_s
            rest_s = max(least_s, min(_SHARE * cost_s, _LONGEST_REST_S))
            await asyncio.wait([ended], timeout=max(0.0, read_s + rest_s - time.monotonic()))
        await read(names())
        for samples_of_link in pending.values():
            for samples in samples_of_link.end():
                await connection.send_event(samples)
    finally:
        await cancelled(ended)
    _log.info("read links' counters %d times in %.1f s: %.3f s", reads, time.monotonic() - begun_s, used_s)
