"""Compute the summary of a stored record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from testbed.records import parse_object
from testbed.workloads.endpoints import kind_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from testbed.plan.workloads import Workload
    from testbed.workloads.summarisers import Summariser
    from testbed.workloads.summary import Summary


def summarise(workload: Workload, records: Iterable[Mapping[str, Any]]) -> Summary:
    """Return the summary of a workload from the lines of its record: `summarise(workload, map(json.loads, file))`.

    Raises:
        RecordError: a line has the wrong form, or lines are missing.
        WorkloadError: the endpoints' last lines are missing.
    """
    summariser: Summariser = kind_of(workload).summariser(workload)
    for record in records:
        summariser.add(parse_object(record))
    return summariser.finish()
