"""The codec of record lines: JSON objects in which every list is a delta-coded column of integers."""

from __future__ import annotations

import json
from array import array
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Any

import msgspec

from testbed.endpoint import columns
from testbed.errors import LabError
from testbed.records.events import TYPED, End, RecordEvent, Table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

_TAGS = frozenset(kind.__struct_config__.tag for kind in TYPED)
_UNION: Any = reduce(or_, TYPED)


class RecordError(LabError):
    """A record is invalid: a line has the wrong form, or lines are missing."""


class _Head(msgspec.Struct):
    event: str


def _decode_column(kind: type[Any], value: Any) -> array[int]:  # noqa: ANN401  # msgspec's hook
    if kind is not array or not isinstance(value, list):
        raise TypeError(f"expected a list of integers, got {type(value).__name__}")
    return _column(value)


def _column(differences: Sequence[int]) -> array[int]:
    try:
        return columns.decode(differences)
    except OverflowError as error:
        raise ValueError(f"a column has a value of more than 64 bits: {error}") from None


_HEAD = msgspec.json.Decoder(_Head)
_TYPED: msgspec.json.Decoder[RecordEvent] = msgspec.json.Decoder(_UNION, dec_hook=_decode_column)
_OBJECT: msgspec.json.Decoder[dict[str, Any]] = msgspec.json.Decoder(dict[str, Any])


def parse(line: str | bytes) -> RecordEvent:
    """Decode a line to the type of its event.

    Raises:
        RecordError: `unreadable-record`: it is no JSON object with an `event`, or a field has another type.
    """
    try:
        event = _HEAD.decode(line).event
        return _TYPED.decode(line) if event in _TAGS else _open(event, _OBJECT.decode(line))
    except (msgspec.ValidationError, TypeError) as error:
        raise _unreadable(error) from None
    except ValueError:
        return parse_object(_python_json(line))


def parse_object(fields: Mapping[str, Any]) -> RecordEvent:
    """Decode a line that `json.loads` has already turned into an object, as `parse` does."""
    try:
        event = msgspec.convert(fields, _Head).event
        return msgspec.convert(fields, _UNION, dec_hook=_decode_column) if event in _TAGS else _open(event, fields)
    except (ValueError, TypeError) as error:
        raise _unreadable(error) from None


def parse_table(line: str | bytes) -> Table:
    """Decode a line of any event as a table, in the order of its fields; raise the errors of `parse`."""
    try:
        fields = _python_json(line)
        return _table(msgspec.convert(fields, _Head).event, fields)
    except (ValueError, TypeError) as error:
        raise _unreadable(error) from None


def read(path: Path) -> Iterator[RecordEvent]:
    """Decode the lines of a file, one at a time.

    Raises:
        OSError: the file can't be read.
        RecordError: `unreadable-record`, with the number of the line.
    """
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            try:
                yield parse(line)
            except RecordError as error:
                raise RecordError(error.code, f"line {number}: {error.message}") from None


def format_line(node: str, event: str, table: Mapping[str, Sequence[int]], **values: object) -> str:
    """Encode a line with columns; `parse` decodes it."""
    coded = {name: columns.encode(rows) for name, rows in table.items()}
    return json.dumps({"node": node, "event": event, **values, **coded}, separators=(",", ":")) + "\n"


def _python_json(line: str | bytes) -> Any:  # noqa: ANN401  # JSON
    """Decode a line that Python's json wrote and that is not JSON: with NaN, infinities or unpaired surrogates."""
    try:
        return json.loads(line)
    except ValueError as error:
        raise _unreadable(error) from None


def _open(event: str, fields: Mapping[str, Any]) -> End | Table:
    if event != "end":
        return _table(event, fields)
    totals = {name: value for name, value in fields.items() if name not in ("event", "node")}
    return End(node=_node(fields), totals=totals)


def _table(event: str, fields: Mapping[str, Any]) -> Table:
    decoded, values = {}, {}
    for name, value in fields.items():
        if isinstance(value, list):
            decoded[name] = _column(value)
        elif name not in ("event", "node"):
            values[name] = value
    return Table(node=_node(fields), event=event, columns=decoded, values=values)


def _node(fields: Mapping[str, Any]) -> str:
    node = fields.get("node", "")
    if not isinstance(node, str):
        raise TypeError(f"node: expected a string, got {type(node).__name__}")
    return node


def _unreadable(error: Exception) -> RecordError:
    return RecordError("unreadable-record", str(error))
