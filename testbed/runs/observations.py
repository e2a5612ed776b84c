"""The samples of a workload as rows: the lines of its file with their columns decoded."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING, Any, TextIO

from testbed.errors import UsageError
from testbed.records import RecordError, parse_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from testbed.records import Table

Row = dict[str, Any]


def observations(path: Path) -> Iterator[Row]:
    """Yield all samples of a workload, one observation per row, in the order of its file.

    Each row has the `event` and the `node`, and the values of that one observation: of `sent` and `received` the number
    of the message, `seq`, and the time; of `bytes` when the bucket begins, `at_ns`, and what arrived in it; of what a
    command reports its numbers as `data.NAME`. Times are of CLOCK_MONOTONIC, ns; the end of a name tells the unit.

    Args:
        path: of the file, in the run's `samples/`.

    Raises:
        UsageError: `no-samples`: there is no such file; `samples-unreadable`, with the line.
    """
    if not path.is_file():
        raise UsageError(
            "no-samples", f"{path} does not exist: the workload was not run", "testbed run runs all workloads"
        )
    return _rows(path)


def _rows(path: Path) -> Iterator[Row]:
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            try:
                yield from rows_of(parse_table(line))
            except (RecordError, ValueError) as error:
                reason = error.message if isinstance(error, RecordError) else error
                message = f"{path}:{number}: {reason}"
                raise UsageError("samples-unreadable", message, "the file was altered or truncated") from None


def rows_of(table: Table) -> Iterator[Row]:
    """Yield the observations in one line of a file of samples.

    Raises:
        ValueError: its columns differ in length.
    """
    same = {"event": table.event, "node": table.node, **table.values}
    if isinstance(data := same.pop("data", None), dict):
        same |= _flat(data, "data.")
    if not table.columns:
        yield same
        return
    first = same.pop("first", None)
    start_ns, bucket_ns = same.pop("start_ns", None), same.pop("bucket_ns", None)
    for number, values in enumerate(zip(*table.columns.values(), strict=True)):
        row = dict(same)
        if first is not None:
            row["seq"] = first + number
        if bucket_ns is not None:
            row["at_ns"] = start_ns + number * bucket_ns
        yield row | dict(zip(table.columns, values, strict=True))


def _flat(data: Mapping[str, Any], prefix: str) -> Row:
    """Return the values in nested objects by dotted names; lists stay as they are."""
    row: Row = {}
    for key, value in data.items():
        row |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return row


def write_csv(read: Callable[[], Iterable[Row]], file: TextIO) -> None:
    """Write rows as CSV (RFC 4180), with a column for every name in any of them; what a row lacks is empty.

    Args:
        read: begins to read the rows; called twice, so that memory need not hold them.
        file: to write to.
    """
    names = dict.fromkeys(name for row in read() for name in row)
    writer = csv.DictWriter(file, [*names])
    writer.writeheader()
    writer.writerows({name: _cell(value) for name, value in row.items()} for row in read())


def _cell(value: object) -> object:
    return json.dumps(value) if isinstance(value, list | dict | bool) else value
