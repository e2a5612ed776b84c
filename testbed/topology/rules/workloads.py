"""Workloads have names of their own and lead somewhere; expectations are about what they measure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import TypeAdapter

from testbed.expectations import ExpectationError, parse
from testbed.topology.base import Fault
from testbed.topology.error_messages import show
from testbed.topology.groups import instance_ends
from testbed.topology.problems import nearest, quote
from testbed.topology.rules import references
from testbed.topology.rules.parts import Parts, readable, text_of
from testbed.topology.workloads import KINDS, NodeWork, Work, WorkloadEnds, WorkloadKeys

if TYPE_CHECKING:
    from collections.abc import Iterator

    from testbed.topology.document import Path

MOST_INSTANCES = 1000
"""Limit on the workloads of a file, those of all members of groups counted: each takes one or two processes."""

_ENDS = TypeAdapter(WorkloadEnds)
_PLACE = TypeAdapter(NodeWork)


def workloads(parts: Parts) -> Iterator[Fault]:
    """Names differ, nodes exist and reach each other, and keys do not contradict each other."""
    names: dict[str, Path] = {}
    count = 0
    for path, raw in parts.workloads():
        workload = parts.model(raw, WorkloadKeys)
        place = parts.model(raw, Work) or readable(raw, _PLACE, "name", "in")
        ends = workload or readable(raw, _ENDS, "name", "from", "to", "network", "family")
        named = place or ends
        if named is None:
            continue
        made = _instance_names(parts, named)
        taken = next((name for name in (named.name, *made) if name in names), None)
        if taken is not None:
            makes = "" if taken == named.name else f", which makes {quote(taken)}"
            first = names[taken]
            said = f"is {quote(named.name)}{makes}, as is that of {show(first)} at line {parts.line(first)}"
            yield Fault((*path, "name"), "duplicate-name", said)
        names |= dict.fromkeys((named.name, *made), path)
        count += len(made)
        if count > MOST_INSTANCES:
            said = f"runs {len(made)} times, which makes {count} workloads, and there can be {MOST_INSTANCES}"
            yield Fault(path, "too-many-workloads", said, "each takes processes of its own: use smaller groups")
            return
        if place is not None:
            yield from references.node(parts, (*path, "in"), place.node)
        if ends is None:
            continue
        yield from references.ends(parts, path, {(*path, "from"): ends.source, (*path, "to"): ends.destination})
        yield from references.reachable(parts, path, ends)
        if workload is not None:
            yield from (fault.under(*path) for fault in workload.contradictions())


def _instance_names(parts: Parts, named: WorkloadEnds | NodeWork) -> tuple[str, ...]:
    """Return the names of the workloads that a workload of groups stands for; none if it names no group."""
    ends = (named.node,) if isinstance(named, NodeWork) else (named.source, named.destination)
    return tuple(name for name, _ in instance_ends(named.name, ends, parts.groups)) if {*ends} & {*parts.groups} else ()


def expectations(parts: Parts) -> Iterator[Fault]:
    """Expectations can be read, and are about what the workloads have."""
    kinds: dict[str, str | None] = {}
    grouped: set[str] = set()
    for _, raw in parts.workloads():
        if isinstance(raw, dict) and (name := text_of(raw.get("name"))) is not None:
            kind = text_of(raw.get("kind"))
            named = readable(raw, _PLACE, "name", "in") or readable(raw, _ENDS, "name", "from", "to", "network")
            made = _instance_names(parts, named) if named else ()
            kinds |= dict.fromkeys((name, *made), kind if kind in KINDS else None)
            grouped |= {name} if made else set()
    for path, raw in parts.items("expect"):
        if (text := text_of(raw)) is None:
            continue
        try:
            parse(text, kinds, grouped)
        except ExpectationError as error:
            hint = nearest(error.found, error.allowed, error.what) if error.what else error.hint
            yield Fault(path, error.code, error.said, hint, offset=error.at)
