"""Links of a plan, changed while its lab is up."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from difflib import get_close_matches
from typing import TYPE_CHECKING

from pydantic import ValidationError

from testbed.errors import UsageError
from testbed.impairments import CLEAR
from testbed.plan.model import Link, Plan
from testbed.plan.seeds import derive
from testbed.topology.document import read
from testbed.topology.error_messages import show, translate, valueless
from testbed.topology.impairments import ImpairmentKeys

if TYPE_CHECKING:
    from collections.abc import Mapping

    from testbed.impairments import Impairments
    from testbed.topology.document import Document

Ends = tuple[str, str, str]
"""Source, destination and network of a link."""

KEYS = tuple(field.alias or name for name, field in ImpairmentKeys.model_fields.items())
"""What of a link can be changed, by the names in a topology file."""


def locate(plan: Plan, source: str, destination: str, network: str | None = None) -> Link:
    """The link from one node to another, a clear one where the plan has none.

    Raises:
        UsageError: there are no such nodes, they share no network, or several and none is given.
    """
    sending, receiving = plan.known(source), plan.known(destination)
    reachable = [interface.network for interface in receiving.interfaces]
    shared = [each.network for each in sending.interfaces if each.network in reachable]
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
        impairments=CLEAR,
        seed=derive(plan.seed, f"link {network or shared[0]} {source} {destination}"),
        engine="auto",
        profile=None,
    )


def in_force(plan: Plan, now: Mapping[Ends, Impairments]) -> tuple[Link, ...]:
    """The links of a lab with the impairments that they have now: those of the plan, then those that were added since.

    Args:
        plan: of the lab.
        now: by ends, of each link that the agent impairs.
    """
    added = now.keys() - {link.ends for link in plan.links}
    links = [*plan.links, *(locate(plan, *ends) for ends in sorted(added))]
    return tuple(replace(link, impairments=now.get(link.ends, link.impairments)) for link in links)


def changed(plan: Plan, link: Link, changes: Mapping[str, object]) -> Link:
    """The link with some keys of its impairments changed, each as a whole.

    Args:
        plan: that the link is of.
        link: as it is now.
        changes: keys and values as in a topology file: text as it would be written there (a mapping or a list in braces
            or brackets), or Python's own numbers, booleans, lists and dicts. A rate that is new without a queue gets
            the default one. Files that a value names are looked for in the working directory.

    Raises:
        UsageError: a key or a value is wrong, or they contradict what the link does otherwise.
    """
    for name in changes.keys() - set(KEYS):
        near = get_close_matches(name, KEYS, 1)
        hint = f"did you mean {near[0]}?" if near else f"keys are: {', '.join(KEYS)}"
        raise UsageError("unknown-key", f"a link has no {name!r}", hint)
    document = _document(changes)
    try:
        asked = ImpairmentKeys.model_validate(document.data)
    except ValidationError as error:
        first = min(translate(error, document))
        raise UsageError(first.code, first.message, first.hint or "as in loss=10% delay=80ms rate=5mbit") from None
    back = locate(plan, link.destination, link.source, link.network).impairments.delay_ns
    mtu = next(network.mtu for network in plan.networks if network.name == link.network)
    for fault in asked.contradictions(link.impairments, mtu=mtu):
        hint = fault.hint or "change the other part too, in the same command"
        raise UsageError(fault.code, f"{link.name}: {show(fault.path)} {fault.said}", hint)
    return replace(link, impairments=asked.resolve(link.impairments, mtu=mtu, delay_back_ns=back))


def _document(changes: Mapping[str, object]) -> Document:
    """The changes as a topology file would have them, a line for each."""
    lines = [f"{name}: {_written(name, value)}" for name, value in changes.items()]
    document = read("\n".join(lines) or "{}", "change")
    if problems := [*document.problems, *valueless(document)]:
        raise UsageError("bad-value", problems[0].message, problems[0].hint or None)
    return document


def _written(name: str, value: object) -> str:
    """A value as a topology file would have it on one line."""
    if isinstance(value, str):
        if len(value.splitlines()) > 1:
            raise UsageError("bad-value", f"{name} has a value of several lines", "write it in one")
        return value
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, default=os.fspath)  # YAML has JSON in it
    except (TypeError, ValueError, RecursionError):
        hint = "give it as a topology file has it: as text, or as a number, a bool, a list or a dict of those"
        raise UsageError("bad-value", f"{name} is {repr(value)[:80]}, which is no value of a file", hint) from None
