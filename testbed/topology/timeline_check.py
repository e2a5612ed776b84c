"""What must hold between the timeline and the rest of a file, as far as both can be read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import TypeAdapter, ValidationError

from testbed.topology.course import separated
from testbed.topology.problems import quote
from testbed.topology.timeline import AnyEvent, Change, Heal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from testbed.topology.check import Checker
    from testbed.topology.document import Document, Path
    from testbed.topology.problems import Problem
    from testbed.topology.timeline import Event, Partition

_EVENT: TypeAdapter[Event] = TypeAdapter(AnyEvent)


def check_timeline(checker: Checker, document: Document) -> Iterator[Problem]:
    """Events are about links and nodes that there are, and change something."""
    data = document.data if isinstance(document.data, dict) else {}
    entries = data.get("timeline")
    for number, entry in enumerate(entries if isinstance(entries, list) else ()):
        path: Path = ("timeline", number)
        try:
            event = _EVENT.validate_python(entry, context=checker.files)
        except ValidationError:
            continue  # which is told elsewhere
        if isinstance(event, Change):
            yield from _link(checker, (*path, "link"), event)
            if not event.named:
                hint = "say what it changes, such as loss: 20%"
                yield checker.problem(path, "missing-key", "names nothing that changes", hint)
        elif isinstance(event, Heal):
            yield from _link(checker, (*path, "heal"), event)
        else:
            yield from _partition(checker, (*path, "partition"), event)


def _link(checker: Checker, path: Path, event: Change | Heal) -> Iterator[Problem]:
    ends = event.link if isinstance(event, Change) else event.heal
    if isinstance(ends, str):
        return
    yield from checker.named_ends(path, ends)
    network = checker.shared(path, *ends.directions[0], ends.network)
    if network is not None and not isinstance(network, str):
        yield network


def _partition(checker: Checker, path: Path, event: Partition) -> Iterator[Problem]:
    seen: set[str] = set()
    for number, group in enumerate(event.partition):
        for place, node in enumerate(group):
            at = (*path, number, place)
            yield from checker.existing(at, node)
            if node in seen:
                yield checker.problem(at, "duplicate-node", f"is {quote(node)}, which is in a group already")
            seen.add(node)
    if seen <= checker.on.keys() and not any(separated(checker.on, event.partition)):
        hint = "they share no network, so they don't reach each other anyway"
        yield checker.problem(path, "no-shared-network", "separates nothing", hint)
