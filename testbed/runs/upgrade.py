"""Conversion of runs that earlier versions wrote to the form of this version."""

from __future__ import annotations

import copy
import hashlib
import json
import logging
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from testbed import codec

_log = logging.getLogger(__name__)

VERSION = 2
"""The version of the form of run.json. 2: what a link does to packets is `impairments`, no longer `shape`; a loss, a
rate and a queue's discipline say by `kind` which one they are."""

_IDLE = ("lab", "description", "runtime", "seed_given", "expectations", "sockets", "capture")
"""The parts of a plan of version 1 that its digest leaves out."""

_COUNTED = ("statistics_before", "statistics_after")
"""The parts of a run that contain counters of links."""

_LATER_NAMES = {"codel_drops": "early_drops"}
"""Names of counters that changed without a new version of the form, and what they are now."""

_COUNTERS = {
    "packets": "packets_out",
    "bytes": "bytes_out",
    "overflowed": "queue_drops",
    "queued_packets": "queued",
    "dropped_early": "early_drops",
    **_LATER_NAMES,
}
"""Names of counters in version 1, and what they are now."""


def upgraded(data: dict[str, Any]) -> dict[str, Any]:
    """Return the data of a run.json that an earlier version wrote in the form of this one; of others unchanged.

    The digest of a run of version 1 is verified and left out, because that of the upgraded plan differs.

    Raises:
        UnreadableError: the data is not a run of version 1.
    """
    if data.get("version") != 1:
        return data | {name: _with_later_names(data[name]) for name in _COUNTED if name in data}
    try:
        digest = _digest_of_version_1(copy.deepcopy(data["plan"]))
        plan: dict[str, Any] = {**data["plan"], "version": VERSION}
        plan.update((name, _renamed(plan[name])) for name in ("links", "timeline") if name in plan)
        changed: dict[str, Any] = {name: _with_counters(_renamed(data[name])) for name in _COUNTED if name in data}
        if "checks" in data:
            changed["checks"] = [{**check, "asked": impairments_of_shape(check["asked"])} for check in data["checks"]]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise codec.UnreadableError("plan", f"not a plan of version 1: {error!r}") from None
    if digest != data.get("plan_digest"):
        raise codec.UnreadableError("plan_digest", f"the digest of the plan is {digest}")
    upgraded_run: dict[str, Any] = {**data, **changed, "plan": plan, "version": VERSION}
    del upgraded_run["plan_digest"]
    _log.info("read a run of version 1, as one of version %d", VERSION)
    return upgraded_run


def _renamed(part: object) -> object:
    """Return a part of a run with each `shape` as `impairments`, at every level."""
    if isinstance(part, list):
        return [_renamed(item) for item in part]
    if isinstance(part, dict):
        return {
            "impairments" if key == "shape" else key: impairments_of_shape(value) if key == "shape" else _renamed(value)
            for key, value in part.items()
        }
    return part


def _with_counters(links: Any) -> list[dict[str, Any]]:  # noqa: ANN401  # JSON
    """Return links with the counters' present names; netem's had names of their own."""
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


def _with_later_names(links: Any) -> Any:  # noqa: ANN401  # JSON, which the codec verifies
    """Return links of this version of the form with the counters' present names."""
    if not isinstance(links, list):
        return links
    return [
        {**link, "counts": {_LATER_NAMES.get(name, name): count for name, count in counts.items()}}
        if isinstance(link, dict) and isinstance(counts := link.get("counts"), dict)
        else link
        for link in links
    ]


def impairments_of_shape(shape: dict[str, Any]) -> dict[str, Any]:
    """Return a link's impairments in the form of this version, from a shape without its default values."""
    latent: dict[str, Any] = shape.get("latent", {})
    found: dict[str, Any] = {name: shape[name] for name in ("delay_ns", "drops", "duplicate") if name in shape}
    if jitter_ns := shape.get("jitter_ns"):
        variation = {**shape.get("variation", {})}
        table = variation.pop("table", None)
        found["jitter"] = {"ns": jitter_ns, **variation, **({"distribution": table} if table else {})}
    if latent.get("blackhole"):
        found["loss"] = {"kind": "blackhole", "hidden": _loss(latent)}
    elif loss := _loss(shape):
        found["loss"] = loss
    for name in shape.keys() & {"corruption", "reorder"}:
        found[name] = {"event" if key == "chance" else key: value for key, value in shape[name].items()}
    if trace := shape.get("trace"):
        rate = {"kind": "opportunities" if "times_ns" in trace else "rate-steps", **trace}
        found["bottleneck"] = {"rate": rate, **_queue(shape, latent)}
    elif bps := shape.get("rate_bps"):
        found["bottleneck"] = {"rate": {"kind": "fixed", "bps": bps}, **_queue(shape, latent)}
    elif "queue_bytes" in latent:  # its rate was not stored; it has no effect
        found["hidden_bottleneck"] = {"rate": {"kind": "fixed", "bps": 1}, **_queue(latent, latent)}
    return found


def _loss(shape: dict[str, Any]) -> dict[str, Any] | None:
    """Return the loss of a shape, or of its latent part."""
    model: dict[str, Any] | None = shape.get("loss_model")
    if model is None:
        return {"kind": "independent", "probability": shape["loss"]} if shape.get("loss") else None
    kind = "gilbert-elliott" if "to_bad" in model else "four-state" if "p13" in model else "correlated"
    return {"kind": kind, **model}


def _queue(shape: dict[str, Any], latent: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a bottleneck except its rate."""
    found: dict[str, Any] = {name: shape[name] for name in ("queue_bytes", "overhead_bytes") if name in shape}
    if "queue_ns" in latent:
        found["queue_ns"] = latent["queue_ns"]
    if discipline := shape.get("discipline"):
        settings = {name: value for name, value in discipline.items() if name != "name"}
        is_codel = discipline["name"] in ("codel", "fq_codel")
        found["discipline"] = {"kind": discipline["name"], **(settings if is_codel else {})}
    return found


def _digest_of_version_1(plan: dict[str, Any]) -> str:
    """Return the digest of a plan of version 1: SHA-256 (hex) of what decides its behaviour. Modifies `plan`."""
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
