"""A run's timeline, carried out on the agent's own clock.

It belongs to a connection: when the client reports the end of the run, or disconnects, the remaining events are
dropped, the links get back what they had before the first event, and all nodes run again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from testbed.agent.messages import EventDone
from testbed.agent.tasks import cancelled
from testbed.errors import TestbedError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from testbed.agent.connection import ServerConnection
    from testbed.agent.faults import NodeFaults
    from testbed.agent.messages import NewImpairments, NewNatAddress, PlayTimeline, TimelineEvent

    Change = Callable[[Sequence[NewImpairments], Sequence[str], Sequence[NewNatAddress]], Awaitable[tuple[int, int]]]
    """Changes links, has the NATs of nodes rebind, and gives NATs other addresses; returns when it began and when it
    was done, ns of the monotonic clock."""

_log = logging.getLogger(__name__)


async def carry_out(
    connection: ServerConnection, timeline: PlayTimeline, change: Change, node_faults: NodeFaults
) -> None:
    """Carry out events at their times, until the client ends the run.

    Each event is reported to the client when it has happened. Faults of nodes may take long, and hold up no event but
    those of the same node.

    Args:
        connection: to the client.
        timeline: the events and their times.
        change: changes links.
        node_faults: those of the lab.

    Raises:
        TestbedError: an event could not be carried out, or the lab is not as before.
    """
    ended = asyncio.create_task(connection.receive())
    begun: asyncio.Queue[asyncio.Future[EventDone] | None] = asyncio.Queue()
    reporting = asyncio.create_task(_report(connection, begun))
    under_way: list[asyncio.Task[EventDone]] = []
    try:
        await node_faults.prepare(fault for event in timeline.events for fault in event.faults)
        for number, event in enumerate(timeline.events):
            if await _over((ended, reporting), timeline.start_ns + event.at_ns):
                break
            happening = asyncio.create_task(_happen(number, event, timeline.start_ns, change, node_faults))
            under_way.append(happening)
            if not event.faults:
                await asyncio.wait([happening])
            begun.put_nowait(happening)
            if happening.done() and happening.exception():
                break
        await asyncio.wait([ended, reporting], return_when=asyncio.FIRST_COMPLETED)
        begun.put_nowait(None)
        await reporting
    except Exception:
        with suppress(TestbedError):  # the first failure is the one to report
            await _undo(timeline, under_way, change, node_faults)
        raise
    finally:
        await cancelled(reporting)
        await cancelled(ended)
    await _undo(timeline, under_way, change, node_faults)


async def _report(connection: ServerConnection, begun: asyncio.Queue[asyncio.Future[EventDone] | None]) -> None:
    """Report events in their order, each when it has happened; raise the error of one that could not happen."""
    while happening := await begun.get():
        await connection.send_event(await happening)


async def _happen(
    number: int, event: TimelineEvent, start_ns: int, change: Change, node_faults: NodeFaults
) -> EventDone:
    work: list[Awaitable[tuple[int, int]]] = [node_faults.carry_out(fault) for fault in event.faults]
    if event.changes or event.rebinds or event.addresses or not work:
        work = [change(event.changes, event.rebinds, event.addresses), *work]
    times_ns = await asyncio.gather(*work)
    done = EventDone(number=number, begun_ns=min(times_ns)[0], done_ns=max(done_ns for _, done_ns in times_ns))
    _log.info(
        "event %d of the timeline changed %d links and did %d things to nodes, %.3f ms late, in %.3f ms",
        number + 1,
        len(event.changes),
        len(event.faults),
        (done.begun_ns - start_ns - event.at_ns) / 1e6,
        (done.done_ns - done.begun_ns) / 1e6,
    )
    return done


async def _undo(
    timeline: PlayTimeline, under_way: Sequence[asyncio.Task[EventDone]], change: Change, node_faults: NodeFaults
) -> None:
    """Undo all events, when those under way are over."""
    if under_way:
        await asyncio.wait(under_way)
    try:
        await change(timeline.restored, (), timeline.addresses)
    finally:
        await node_faults.heal(dict.fromkeys(fault.node for event in timeline.events for fault in event.faults))


async def _over(ends: Sequence[asyncio.Task[Any]], due_ns: int) -> bool:
    """Wait until `due_ns`; return True as soon as the run ends, or has failed, before that."""
    done, _ = await asyncio.wait(
        ends, timeout=max(0, due_ns - time.monotonic_ns()) / 1e9, return_when=asyncio.FIRST_COMPLETED
    )
    return bool(done)
