"""A link of a plan, changed while its lab is up."""

from __future__ import annotations

from dataclasses import replace
from difflib import get_close_matches
from typing import TYPE_CHECKING

from pydantic import ValidationError

from testbed.errors import UsageError
from testbed.plan.model import Link, Plan
from testbed.plan.seeds import derive
from testbed.shape import CLEAR
from testbed.topology.impairment import Impairment

if TYPE_CHECKING:
    from collections.abc import Mapping

KEYS = tuple(field.alias or name for name, field in Impairment.model_fields.items())
"""What of a link can be changed, by the names in a topology file."""


def locate(plan: Plan, source: str, destination: str, network: str | None = None) -> Link:
    """The link from one node to another, a clear one where the plan has none.

    Raises:
        UsageError: there are no such nodes, they share no network, or several and none is given.
    """
    names = [node.name for node in plan.nodes]
    for node in (source, destination):
        if node not in names:
            raise UsageError(
                "unknown-node", f"lab {plan.lab} has no node {node!r}", f"its nodes are: {', '.join(names)}"
            )
    reachable = [interface.network for interface in plan.node(destination).interfaces]
    shared = [each.network for each in plan.node(source).interfaces if each.network in reachable]
    if source == destination or not shared:
        raise UsageError("not-linked", f"{source} and {destination} share no network", "name two nodes that do")
    if network is None and len(shared) > 1:
        raise UsageError(
            "which-network", f"{source} and {destination} share {' and '.join(shared)}", "say which of them: --network"
        )
    if network is not None and network not in shared:
        raise UsageError(
            "not-linked", f"{source} and {destination} do not share {network!r}", f"they share {' and '.join(shared)}"
        )
    for link in plan.links:
        if link.ends == (source, destination, network or shared[0]):
            return link
    return Link(
        source=source,
        destination=destination,
        network=network or shared[0],
        shape=CLEAR,
        seed=derive(plan.seed, f"link {network or shared[0]} {source} {destination}"),
        engine="auto",
        profile=None,
    )


def changed(plan: Plan, link: Link, changes: Mapping[str, str]) -> Link:
    """The link with some keys of its shape changed.

    Args:
        plan: that the link is of.
        link: as it is now.
        changes: keys and values as in a topology file. A rate that is new without a queue gets the default one.

    Raises:
        UsageError: a key or a value is wrong, or they contradict what the link does otherwise.
    """
    for name in changes.keys() - set(KEYS):
        near = get_close_matches(name, KEYS, 1)
        hint = f"did you mean {near[0]}?" if near else f"keys are: {', '.join(KEYS)}"
        raise UsageError("unknown-key", f"a link has no {name!r}", hint)
    try:
        asked = Impairment.model_validate(dict(changes))
    except ValidationError as error:
        first = error.errors()[0]
        reason = str(first.get("ctx", {}).get("error", first["msg"]))
        raise UsageError("bad-value", f"{first['loc'][0]}: {reason}", "as in loss=10% delay=80ms rate=5mbit") from None
    given = asked.model_dump(exclude_unset=True, exclude={"queue"})
    back = locate(plan, link.destination, link.source, link.network).shape.delay_ns
    mtu = next(network.mtu for network in plan.networks if network.name == link.network)
    now = link.shape
    rate = given.get("rate_bps", now.rate_bps)
    keeps_queue = asked.queue is None and rate and now.queue_bytes
    whole = asked.model_copy(update={"delay_ns": given.get("delay_ns", now.delay_ns), "rate_bps": rate})
    try:
        queue = now.queue_bytes if keeps_queue else whole.queue_bytes(mtu=mtu, delay_back_ns=back)
        shape = replace(now, **given, queue_bytes=queue)
    except ValueError as error:
        raise UsageError(
            "bad-shape", f"{link.name}: {error}", "change the other part too, in the same command"
        ) from None
    return replace(link, shape=shape)
