"""Records of workloads: the types of their lines, the codec, and the ledger that matches sent and received messages."""

from testbed.records.events import (
    Bytes,
    ClientReady,
    Congestion,
    ConnectionTimes,
    End,
    Failed,
    LinkCounts,
    Listening,
    Output,
    Progress,
    Received,
    RecordEvent,
    Sample,
    Sent,
    Started,
    Table,
)
from testbed.records.ledger import Deliveries, Ledger, match
from testbed.records.lines import RecordError, format_line, parse, parse_object, parse_table, read
from testbed.records.moving import moved

__all__ = [
    "Bytes",
    "ClientReady",
    "Congestion",
    "ConnectionTimes",
    "Deliveries",
    "End",
    "Failed",
    "Ledger",
    "LinkCounts",
    "Listening",
    "Output",
    "Progress",
    "Received",
    "RecordError",
    "RecordEvent",
    "Sample",
    "Sent",
    "Started",
    "Table",
    "format_line",
    "match",
    "moved",
    "parse",
    "parse_object",
    "parse_table",
    "read",
]
