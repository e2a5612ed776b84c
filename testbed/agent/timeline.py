"""A run's timeline, carried out on the agent's own clock.

It belongs to a connection: when the client reports the end of the run, or disconnects, the remaining events are dropped
and the links get back what they had before the first event.
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

    from testbed.agent.connection import Connection
    from testbed.agent.messages import LinkChange, Timeline

_log = logging.getLogger(__name__)


async def carry_out(
    connection: Connection,
    timeline: Timeline,
    change: Callable[[Sequence[LinkChange], Sequence[str]], Awaitable[tuple[int, int]]],
) -> None:
    """Carry out events at their times, until the client ends the run.

    Each event is reported to the client when it has happened.

    Args:
        connection: to the client.
        timeline: the events and their times.
        change: makes changes of links, and has the NATs of nodes rebind; returns when it began and when it was done,
            ns of the monotonic clock.

    Raises:
        TestbedError: an event could not be carried out, or the links have not got their impairments back.
    """
    ended = asyncio.create_task(connection.receive())
    try:
        for number, event in enumerate(timeline.events):
            if await _over(ended, timeline.start_ns + event.at_ns):
                break
            begun_ns, done_ns = await change(event.changes, event.rebinds)
            _log.info(
                "event %d of the timeline changed %d links, %.3f ms late, in %.3f ms",
                number + 1,
                len(event.changes),
                (begun_ns - timeline.start_ns - event.at_ns) / 1e6,
                (done_ns - begun_ns) / 1e6,
            )
            await connection.send_event(EventDone(number=number, begun_ns=begun_ns, done_ns=done_ns))
        await ended
    except Exception:
        with suppress(TestbedError):  # the first failure is the one to tell
            await change(timeline.restored, ())
        raise
    finally:
        await cancelled(ended)
    await change(timeline.restored, ())


async def _over(ended: asyncio.Task[Any], due_ns: int) -> bool:
    """Wait until `due_ns`; return True as soon as the run ends before that."""
    await asyncio.wait([ended], timeout=max(0, due_ns - time.monotonic_ns()) / 1e9)
    return ended.done()
