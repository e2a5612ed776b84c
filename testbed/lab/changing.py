"""Changes of many links of a lab at once: partitions, and the return to the plan's impairments."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from testbed import interruption
from testbed.agent import messages
from testbed.errors import UsageError
from testbed.lab import bringup
from testbed.plan import changes
from testbed.topology.timeline_state import separated

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from testbed.agent.client import Agent
    from testbed.impairments import Impairments
    from testbed.matching import LinkKey
    from testbed.plan.model import Link, Plan


@contextmanager
def partitioned(plan: Plan, agent: Agent, groups: Sequence[Sequence[str]]) -> Iterator[None]:
    """See `testbed.lab.Lab.partition`."""
    parts = [plan.members(*group) for group in groups]
    names = [name for part in parts for name in part]
    twice = sorted({name for name in names if names.count(name) > 1})
    if len(parts) < 2 or twice:  # noqa: PLR2004
        found = f"{', '.join(twice)} in two groups" if twice else "less than two groups"
        raise UsageError("bad-partition", f"a partition with {found}", 'write it like partition(["a"], ["b", "c"])')
    present = _present(agent)
    networks = {node.name: [interface.network for interface in node.interfaces] for node in plan.nodes}
    cut = {key: present.get(key) for key in separated(networks, parts)}
    cut |= {key: impairments for key, impairments in present.items() if key.match and key.plain in cut}
    if not cut:
        message = f"no network joins {' with '.join(', '.join(part) for part in parts)}, so there is nothing to cut"
        raise UsageError("bad-partition", message, "name the nodes at the ends of the wire that is to be cut")
    before = [_link(plan, key, impairments) for key, impairments in cut.items()]
    dark = [changes.changed(plan, link, {"blackhole": True}) for link in before]
    try:
        _impair(plan, agent, dark)
        yield
    finally:
        with interruption.deferred():
            _impair(plan, agent, before)


def restore(plan: Plan, agent: Agent) -> None:
    """See `testbed.lab.Lab.restore`. A node that does not run again keeps no link from being as before."""
    try:
        agent.call(messages.HealNodes())
    finally:
        _restore_links(plan, agent)


def _restore_links(plan: Plan, agent: Agent) -> None:
    present = _present(agent)
    links = [_link(plan, key) for key in present]
    _impair(plan, agent, [link for link in links if link.impairments != present[link.key]])


def _present(agent: Agent) -> Mapping[LinkKey, Impairments]:
    """Return the impairments of all links that have an engine, in the order in which they select packets."""
    return {link.key: link.impairments for link in agent.call(messages.Statistics())}


def _link(plan: Plan, key: LinkKey, impairments: Impairments | None = None) -> Link:
    """Return a link with impairments, by default those of the plan."""
    link = changes.locate(plan, *key)
    return link if impairments is None else replace(link, impairments=impairments)


def _impair(plan: Plan, agent: Agent, links: Iterable[Link]) -> None:
    if requests := bringup.as_requests(plan, [*links]):
        agent.call(messages.Impair(links=requests))
