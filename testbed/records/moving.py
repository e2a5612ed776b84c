"""Lines of records whose times are by another clock."""

from __future__ import annotations

import json

INSTANTS = frozenset(
    (
        "at_ns",
        "begun_ns",
        "connected_ns",
        "first_byte_ns",
        "last_byte_ns",
        "received_ns",
        "secured_ns",
        "sent_ns",
        "start_ns",
    )
)
"""The fields and columns of lines that are instants; other times are lengths."""


def moved(line: str, *, by_ns: int) -> str:
    """Return a line of an endpoint with all of its instants moved. A line that is no JSON object stays as it is.

    Columns are delta-coded (`testbed.endpoint.columns`), so only their first number is an instant.
    """
    try:
        fields = json.loads(line)
    except ValueError:
        return line  # who reads it says what is wrong with it
    if not isinstance(fields, dict) or not fields.keys() & INSTANTS:
        return line
    for name in fields.keys() & INSTANTS:
        value = fields[name]
        if isinstance(value, list) and value and isinstance(value[0], int):
            fields[name] = [value[0] + by_ns, *value[1:]]
        elif isinstance(value, int) and value:
            fields[name] = value + by_ns
    return json.dumps(fields, separators=(",", ":"))
