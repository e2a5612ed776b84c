"""The timeline of a run: changes of links at given times."""

from __future__ import annotations

from testbed.agent.messages.base import Call, Payload
from testbed.agent.messages.links import LinkChange


class TimelineEvent(Payload, frozen=True, kw_only=True):
    """Changes of links at a time after time zero; `rebinds` are nodes whose NATs forget their mappings."""

    at_ns: int
    changes: tuple[LinkChange, ...]
    rebinds: tuple[str, ...] = ()


class Timeline(Call[None], frozen=True, kw_only=True):
    """Carry events out until the client sends anything, which ends the call. Its events are `EventDone`.

    Attributes:
        start_ns: time zero; it may be in the future.
        events: in the order of their times.
        restored: the changes that undo all of them.
    """

    start_ns: int
    events: tuple[TimelineEvent, ...]
    restored: tuple[LinkChange, ...]


class EventDone(Payload, frozen=True, kw_only=True):
    """The event of a timeline at that place has happened: between these times its links changed, one after another."""

    number: int
    begun_ns: int
    done_ns: int
