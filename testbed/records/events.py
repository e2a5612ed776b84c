"""The types of the lines in a record, which an endpoint or a program in its place writes about a workload.

Events and fields have the names of the stored lines, see `testbed.endpoint`. Times are in ns of CLOCK_MONOTONIC.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    Integers = array[int]
else:
    Integers = array  # of signed 64-bit integers; msgspec evaluates annotations, and array takes no parameters then


class RecordEvent(msgspec.Struct, frozen=True, kw_only=True):
    """A line of a record.

    Attributes:
        node: the node that wrote the line; empty in lines that are not part of a workload's record.
    """

    node: str = ""


class _Typed(RecordEvent, frozen=True, kw_only=True, tag_field="event"):
    """A line of an event whose fields are fixed. Further fields are ignored."""


class Listening(_Typed, frozen=True, kw_only=True, tag="listening"):
    """The server's socket is bound."""


class ClientReady(_Typed, frozen=True, kw_only=True, tag="ready"):
    """The client is prepared and waits for its start time."""


class Started(_Typed, frozen=True, kw_only=True, tag="started"):
    """The client began at `at_ns`."""

    at_ns: int


class Progress(_Typed, frozen=True, kw_only=True, tag="progress"):
    """A fraction of the client's work is done."""

    fraction: float


class Failed(_Typed, frozen=True, kw_only=True, tag="error"):
    """The endpoint could not do its work."""

    code: str
    message: str
    hint: str | None = None


class Sent(_Typed, frozen=True, kw_only=True, tag="sent"):
    """The messages `first`, `first` + 1, ... were sent at these times."""

    first: int
    sent_ns: Integers


class Received(_Typed, frozen=True, kw_only=True, tag="received"):
    """The messages `seq` arrived at these times; in order of arrival, duplicates too."""

    seq: Integers
    received_ns: Integers


class ConnectionTimes(_Typed, frozen=True, kw_only=True, tag="connections"):
    """Connections were begun, connected and, where TLS is used, secured at these times.

    The columns differ in length where a connection did not get as far as the next step.
    """

    begun_ns: Integers
    connected_ns: Integers
    secured_ns: Integers = msgspec.field(default_factory=lambda: array("q"))


class Congestion(_Typed, frozen=True, kw_only=True, tag="congestion"):
    """The name of the congestion control in use."""

    name: str


class Bytes(_Typed, frozen=True, kw_only=True, tag="bytes"):
    """The payload that arrived in each period of `bucket_ns`, the first of which began at `start_ns`."""

    start_ns: int
    bucket_ns: int
    bytes: Integers


class Sample(_Typed, frozen=True, kw_only=True, tag="sample"):
    """A JSON object that a program reported."""

    at_ns: int
    data: Mapping[str, Any]


class Output(_Typed, frozen=True, kw_only=True, tag="output"):
    """A line of text that a program wrote."""

    at_ns: int
    line: str


class LinkCounts(_Typed, frozen=True, kw_only=True, tag="link"):
    """The counters of a link at these times, see `testbed.engines.counters`; those that its engine has.

    A counter that stays as it is has only the samples before its next changes.
    """

    link: str
    at_ns: Integers
    packets_in: Integers | None = None
    bytes_in: Integers | None = None
    packets_out: Integers | None = None
    bytes_out: Integers | None = None
    scripted: Integers | None = None
    policed: Integers | None = None
    lost: Integers | None = None
    queue_drops: Integers | None = None
    early_drops: Integers | None = None
    backlog_drops: Integers | None = None
    kernel_drops: Integers | None = None
    oversize: Integers | None = None
    send_failures: Integers | None = None
    marked: Integers | None = None
    in_flight: Integers | None = None
    queued: Integers | None = None
    queued_bytes: Integers | None = None


class Table(RecordEvent, frozen=True, kw_only=True):
    """A line of any event, as columns of equal length and single values: `tcp-info`, `end`, events of other packages.

    Attributes:
        event: the name of the event.
        columns: the lists of the line, decoded, by name.
        values: everything else, by name, except `event` and `node`.
    """

    event: str
    columns: Mapping[str, Integers]
    values: Mapping[str, Any]


class End(RecordEvent, frozen=True, kw_only=True):
    """The last line of an endpoint that did its work, with its totals by name."""

    totals: Mapping[str, Any]


TYPED = (
    Listening,
    ClientReady,
    Started,
    Progress,
    Failed,
    Sent,
    Received,
    ConnectionTimes,
    Congestion,
    Bytes,
    Sample,
    Output,
    LinkCounts,
)
"""The events whose fields are fixed; all others are of type `Table`, except `end`."""
