"""Links of a plan, changed while its lab is up."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import replace
from difflib import get_close_matches
from typing import TYPE_CHECKING

from pydantic import ValidationError

from testbed.errors import UsageError
from testbed.families import FAMILIES
from testbed.impairments import CLEAR
from testbed.matching import ANY_NODE, LinkKey, Match, covers
from testbed.names import BUILT_IN
from testbed.plan.forwarding import forwarding
from testbed.plan.model import Link, Plan
from testbed.seeds import of_link
from testbed.topology.document import read
from testbed.topology.error_messages import show, translate, valueless
from testbed.topology.impairments import ImpairmentKeys
from testbed.topology.matches import MatchKeys

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from testbed.impairments import Impairments
    from testbed.plan.forwarding import Hop
    from testbed.topology.document import Document

KEYS = tuple(field.alias or name for name, field in ImpairmentKeys.model_fields.items())
"""The keys of a link that can be changed, as in a topology file."""


def locate(plan: Plan, source: str, destination: str, network: str | None = None, match: Match | None = None) -> Link:
    """Return the link from one node to another, for some packets or all others; one without impairments if none is.

    With `ANY_NODE` for one of them it is the other's downlink or uplink.

    Raises:
        UsageError: a node is unknown, or the nodes share no network, or several of which none is given.
    """
    ends = [
        plan.end(name) if name in BUILT_IN else plan.known(name) for name in (source, destination) if name != ANY_NODE
    ]
    if not ends:
        raise UsageError("not-linked", f"{ANY_NODE} is no node", "name at least one")
    reachable = [interface.network for interface in ends[-1].interfaces]
    shared = [interface.network for interface in ends[0].interfaces if interface.network in reachable]
    if {source, destination} & {*BUILT_IN} and (not shared or {source, destination} == {*BUILT_IN}):
        message = f"{source} and {destination} share no network that leads out of this machine"
        raise UsageError("not-linked", message, "set internal: false for the node's network in the file")
    if source == destination or not shared:
        raise UsageError(
            "not-linked",
            f"{source} and {destination} share no network{_distance(plan, source, destination)}",
            "name two nodes that do",
        )
    if network is None and len(shared) > 1:
        raise UsageError(
            "which-network",
            f"{' and '.join(end.name for end in ends)} {'share' if ends[1:] else 'is on'} {' and '.join(shared)}",
            "choose one with --network",
        )
    if network is not None and network not in shared:
        raise UsageError(
            "not-linked",
            f"{' and '.join(end.name for end in ends)} {'do not share' if ends[1:] else 'is not on'} {network!r}",
            f"choose from {' and '.join(shared)}",
        )
    key = LinkKey(source, destination, network or shared[0], match)
    for link in plan.links:
        if link.key == key:
            return link
    return Link(
        **key._asdict(),
        impairments=CLEAR,
        seed=of_link(plan.seed, key),
        engine="auto",
        profile=None,
    )


def _distance(plan: Plan, source: str, destination: str) -> str:
    """Return how far apart two nodes are that share no network, as the end of a sentence; empty if none is reached."""
    hops: Sequence[Hop] = ()
    for paths in (forwarding(plan, family) for family in FAMILIES):
        address = paths.address(source, destination) if source != destination else None
        hops = hops or (paths.path(source, destination, address) if address else None) or ()
    return f": they are {len(hops)} hops apart, over {', '.join(hop[0] for hop in hops[1:])}" if hops else ""


def in_force(plan: Plan, now: Mapping[LinkKey, Impairments]) -> tuple[Link, ...]:
    """Return the links of a lab with their current impairments: those of the plan, then those added since.

    Args:
        plan: of the lab.
        now: the impairments of each link that the agent impairs; those of a direction in the order of their matches.
    """
    planned = {link.key for link in plan.links}
    links = [*plan.links, *(locate(plan, *key) for key in now if key not in planned)]
    return tuple(replace(link, impairments=now.get(link.key, link.impairments)) for link in links)


def with_remainders(plan: Plan, links: Sequence[Link]) -> tuple[Link, ...]:
    """Return links, and after those with a match a clear one for the other packets of the direction if none is."""
    found = {link.key: link for link in links}
    for link in links:
        if link.match and link.key.plain not in found:
            found[link.key.plain] = locate(plan, *link.key.plain)
    return tuple(found.values())


def require_packets(link: LinkKey, present: Iterable[LinkKey]) -> None:
    """Require that packets are left for a link with a match.

    Args:
        link: any.
        present: the impaired links, in the order in which they select packets; a new one comes last.

    Raises:
        UsageError: `unreachable-match`.
    """
    known = list(present)
    before = [key.match for key in known if key.match and key.plain == link.plain]
    if link.match and link not in known and covers(before, link.match):
        takers = ", ".join(map(str, before))
        message = f"{link.name} would get no packet: the links before it take all of them ({takers})"
        raise UsageError("unreachable-match", message, "change these, or bring up a file with another order of links")


def read_match(written: object) -> Match:
    """Return the match that a user gives: one, the keys as in a topology file, or one line, `protocol=udp,port=53`.

    Raises:
        UsageError: it is wrong.
    """
    if isinstance(written, Match):
        return written
    if isinstance(written, Mapping):
        text = "\n".join(f"{name}: {_written(str(name), value)}" for name, value in written.items())
    else:
        text = f"{{{re.sub('([a-z_]+) *= *', lambda found: f'{found[1]}: ', str(written))}}}"
    hint = "write it like protocol=udp,port=53 or dscp=EF"
    document = read(text or "{}", "match")
    if problems := [*document.problems, *valueless(document)]:
        raise UsageError("bad-match", f"the match {written!r}: {problems[0].message}", problems[0].hint or hint)
    try:
        keys = MatchKeys.model_validate(document.data)
    except ValidationError as error:
        first = min(translate(error, document, MatchKeys))
        raise UsageError(first.code, f"the match {written!r}: {first.message}", first.hint or hint) from None
    for fault in keys.faults():
        where = f": {show(fault.path)}" if fault.path else ""
        raise UsageError(fault.code, f"the match {written!r}{where} {fault.said}", fault.hint or hint)
    return keys.match


def changed(plan: Plan, link: Link, changes: Mapping[str, object]) -> Link:
    """Return the link with some keys of its impairments replaced.

    Args:
        plan: the plan with the link.
        link: with its current impairments.
        changes: keys and values as in a topology file: text as it would be written there (a mapping or a list in braces
            or brackets), or Python's own numbers, booleans, lists and dicts. A rate that is new without a queue gets
            the default one. Files that a value names are looked for in the working directory.

    Raises:
        UsageError: a key or a value is wrong, or they contradict what the link does otherwise.
    """
    for name in changes.keys() - set(KEYS):
        near = get_close_matches(name, KEYS, 1)
        hint = f"did you mean {near[0]}?" if near else f"keys are: {', '.join(KEYS)}"
        raise UsageError("unknown-key", f"a link has no key {name!r}", hint)
    document = as_document(changes)
    try:
        asked = ImpairmentKeys.model_validate(document.data)
    except ValidationError as error:
        first = min(translate(error, document, ImpairmentKeys))
        raise UsageError(
            first.code, first.message, first.hint or "write it like loss=10% delay=80ms rate=5mbit"
        ) from None
    answers = {each.key for each in plan.links} & {link.key.back} or {link.key.back.plain}
    back = locate(plan, *answers.pop()).impairments.delay_ns
    mtu = next(network.mtu for network in plan.networks if network.name == link.network)
    for fault in asked.contradictions(link.impairments, mtu=mtu):
        hint = fault.hint or "change the conflicting key too, in the same command"
        raise UsageError(fault.code, f"{link.name}: {show(fault.path)} {fault.said}", hint)
    return replace(link, impairments=asked.resolve(link.impairments, mtu=mtu, delay_back_ns=back))


def as_document(changes: Mapping[str, object]) -> Document:
    """Return keys with their values as a document of a topology file, one line per key.

    Raises:
        UsageError: `bad-value`: a value can't be in a file.
    """
    lines = [f"{name}: {_written(name, value)}" for name, value in changes.items()]
    document = read("\n".join(lines) or "{}", "change")
    if problems := [*document.problems, *valueless(document)]:
        raise UsageError("bad-value", problems[0].message, problems[0].hint or None)
    return document


def _written(name: str, value: object) -> str:
    """Return a value as one line of a topology file."""
    if isinstance(value, str):
        if len(value.splitlines()) > 1:
            raise UsageError("bad-value", f"{name} has a value of several lines", "write it in one line")
        return value
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, default=os.fspath)  # JSON is valid YAML
    except (TypeError, ValueError, RecursionError):
        hint = "give it as in a topology file: text, a number, a bool, or a list or dict of these"
        raise UsageError(
            "bad-value", f"{name} is {repr(value)[:80]}, which a topology file can't contain", hint
        ) from None
