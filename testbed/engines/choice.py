"""Which engine carries a link."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed.engines import AUTO
from testbed.errors import MachineError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from testbed.engines.engine import Engine
    from testbed.impairments import Impairments


def choose(
    link: str,
    successive: Sequence[Impairments],
    wanted: str,
    engines: Mapping[str, Engine],
    missing: Mapping[str, MachineError],
    *,
    mtu: int,
    repeatable: bool,
) -> tuple[str, str]:
    """The engine for a link that has these impairments, one after the other, and why that one.

    Args:
        link: its name.
        successive: all that it is to have.
        wanted: `auto` or an engine's name.
        engines: all engines by name, in order of preference.
        missing: those that do not work here, and why.
        mtu: bytes of an IP packet on the link's network.
        repeatable: a seed was asked for.

    Raises:
        MachineError: `engine-unavailable`.
    """
    if wanted != AUTO:
        if reason := _refusal(wanted, successive, engines, missing, mtu=mtu):
            hint = missing[wanted].hint if wanted in missing else None
            others = " or ".join(name for name in engines if name != wanted)
            raise MachineError(
                "engine-unavailable",
                f"{link}: engine {wanted} can't do this link: {reason}",
                hint or f"leave engine out (auto), or ask for {others}",
            )
        return wanted, "asked for"
    reasons: list[str] = []
    for name in engines:
        reason = _refusal(name, successive, engines, missing, mtu=mtu, exactly=True, repeatable=repeatable)
        if not reason:
            return name, "; ".join(reasons) or "it works here and does exactly what is asked"
        reasons.append(reason)
    refused = {name: _refusal(name, successive, engines, missing, mtu=mtu) for name in engines}
    if possible := next((name for name, reason in refused.items() if not reason), None):
        return possible, "; ".join(reasons)
    detail = "; ".join(f"{name}: {reason}" for name, reason in refused.items())
    raise MachineError("engine-unavailable", f"{link}: no engine can do this link: {detail}", None)


def _refusal(
    name: str,
    successive: Sequence[Impairments],
    engines: Mapping[str, Engine],
    missing: Mapping[str, MachineError],
    *,
    mtu: int,
    exactly: bool = False,
    repeatable: bool = False,
) -> str | None:
    """Why an engine can't do some of these impairments, or not exactly, or not again; None where it can."""
    if name in missing:
        return missing[name].message
    for impairments in successive:
        verdict = engines[name].judge(impairments, mtu=mtu)
        reason = verdict.impossible
        if exactly:
            reason = reason or verdict.inexact
            if repeatable and impairments.is_random:
                reason = reason or verdict.unrepeatable
        if reason:
            return reason
    return None
