"""Workloads have names of their own and lead somewhere; expectations are about what they measure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import TypeAdapter

from testbed.expectations import ExpectationError, parse
from testbed.topology.base import Fault
from testbed.topology.error_messages import show
from testbed.topology.problems import nearest, quote
from testbed.topology.rules import references
from testbed.topology.rules.parts import Parts, readable, text_of
from testbed.topology.workloads import KINDS, Ends, NodeWork, Work, Workload

if TYPE_CHECKING:
    from collections.abc import Iterator

    from testbed.topology.document import Path

_ENDS = TypeAdapter(Ends)
_PLACE = TypeAdapter(NodeWork)


def workloads(parts: Parts) -> Iterator[Fault]:
    """Names differ, nodes exist and reach each other, keys can be had together."""
    names: dict[str, Path] = {}
    for path, raw in parts.workloads():
        workload = parts.model(raw, Workload)
        place = parts.model(raw, Work) or readable(raw, _PLACE, "name", "in")
        ends = workload or readable(raw, _ENDS, "name", "from", "to", "network")
        named = place or ends
        if named is None:
            continue
        first = names.setdefault(named.name, path)
        if first != path:
            said = f"is {quote(named.name)}, as is that of {show(first)} at line {parts.line(first)}"
            yield Fault((*path, "name"), "duplicate-name", said)
        if place is not None:
            yield from references.node(parts, (*path, "in"), place.node)
        if ends is None:
            continue
        yield from references.ends(parts, path, {(*path, "from"): ends.source, (*path, "to"): ends.destination})
        yield from references.reachable(parts, path, ends.source, ends.destination, ends.network)
        if workload is not None:
            yield from (fault.under(*path) for fault in workload.contradictions())


def expectations(parts: Parts) -> Iterator[Fault]:
    """Expectations can be read, and are about what the workloads have."""
    kinds: dict[str, str | None] = {}
    for _, raw in parts.workloads():
        if isinstance(raw, dict) and (name := text_of(raw.get("name"))) is not None:
            kind = text_of(raw.get("kind"))
            kinds[name] = kind if kind in KINDS else None
    for path, raw in parts.items("expect"):
        if (text := text_of(raw)) is None:
            continue
        try:
            parse(text, kinds)
        except ExpectationError as error:
            hint = nearest(error.found, error.allowed, error.what) if error.what else error.hint
            yield Fault(path, error.code, error.said, hint, offset=error.at)
