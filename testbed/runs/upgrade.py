"""Runs that earlier versions wrote, brought to the form of this one before they are read."""

from __future__ import annotations

import copy
import hashlib
import json
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from testbed import codec

VERSION = 2
"""The version of the form of run.json. 2: what a link does to packets is `impairments`, no longer `shape`."""

_IDLE = ("lab", "description", "runtime", "seed_given", "expectations", "sockets", "capture")
"""The parts of a plan of version 1 that its digest leaves out."""


_COUNTERS = {
    "packets": "packets_out",
    "bytes": "bytes_out",
    "overflowed": "queue_drops",
    "queued_packets": "queued",
    "dropped_early": "codel_drops",
}
"""Names of netem's counters in version 1, and what they are now."""


def upgraded(data: dict[str, Any]) -> dict[str, Any]:
    """The data of a run.json in the form of this version; that of other versions than 1 stays as it is.

    Its digest is checked and left out: the upgraded plan has another.

    Raises:
        UnreadableError: it is no run of version 1.
    """
    if data.get("version") != 1:
        return data
    try:
        digest = _digest_of_version_1(copy.deepcopy(data["plan"]))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise codec.UnreadableError("plan", f"no plan of version 1: {error!r}") from None
    if digest != data.get("plan_digest"):
        raise codec.UnreadableError("plan_digest", f"the digest of the plan is {digest}")
    plan: dict[str, Any] = {**data["plan"], "version": VERSION}
    plan.update((name, _renamed(plan[name])) for name in ("links", "timeline") if name in plan)
    counters: dict[str, Any] = {
        name: _with_counters(_renamed(data[name])) for name in ("statistics_before", "statistics_after") if name in data
    }
    found: dict[str, Any] = {**data, **counters, "plan": plan, "version": VERSION}
    del found["plan_digest"]
    return found


def _renamed(part: object) -> object:
    """A part of a run with `shape` as `impairments`, however deep."""
    if isinstance(part, list):
        return [_renamed(item) for item in part]
    if isinstance(part, dict):
        return {"impairments" if key == "shape" else key: _renamed(value) for key, value in part.items()}
    return part


def _with_counters(links: Any) -> list[dict[str, Any]]:  # noqa: ANN401  # JSON
    """Links with the names that counters of all engines have now; those of netem had their own."""
    found = []
    try:
        for link in links:
            counts = dict(link["counts"])
            if "overflowed" in counts:
                counts["overflowed"] -= counts["dropped_early"]
            named = {_COUNTERS.get(name, name): count for name, count in counts.items() if count is not None}
            found.append({**link, "counts": named})
    except (KeyError, TypeError, ValueError) as error:
        raise codec.UnreadableError("statistics", f"no counters of version 1: {error!r}") from None
    return found


def _digest_of_version_1(plan: dict[str, Any]) -> str:
    """SHA-256 (hex) of all that decides what a plan of version 1 does; `plan` is used up."""
    for name in _IDLE:
        plan.pop(name, None)
    for link in plan["links"]:
        del link["profile"]
    for event in plan.get("timeline", ()):
        del event["what"]
    if not plan.get("timeline"):
        plan.pop("timeline", None)
    _make_addresses_relative(plan)
    return hashlib.sha256(json.dumps(plan, sort_keys=True).encode()).hexdigest()


def _make_addresses_relative(plan: dict[str, Any]) -> None:
    """Replace every address in an allocated subnet by its position there."""
    allocated = [IPv4Network(network["subnet"]) for network in plan["networks"] if network["allocated"]]

    def position(address: str) -> str:
        for index, subnet in enumerate(allocated):
            if IPv4Address(address) in subnet:
                return f"{index}+{int(IPv4Address(address)) - int(subnet.network_address)}"
        return address

    for network in plan["networks"]:
        network["gateway"] = position(network["gateway"])
        if network["allocated"]:
            network["subnet"] = IPv4Network(network["subnet"]).prefixlen
    for node in plan["nodes"]:
        for interface in node["interfaces"]:
            interface["address"] = position(interface["address"])
            del interface["mac"]
    for stage in plan["stages"]:
        for workload in stage:
            workload["address"] = position(workload["address"])
