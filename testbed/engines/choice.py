"""Which engine carries a link."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from testbed.engines import netem
from testbed.errors import MachineError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from testbed.impairments import Impairments


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernel:
    """What the kernel's engine can't do here.

    Attributes:
        without_netem: why it can't be had at all, or None.
        unrepeatable: why it does not repeat what a seed has it do, or None.
    """

    without_netem: MachineError | None
    unrepeatable: str | None

    def choose(
        self, link: str, successive: Iterable[Impairments], wanted: str, *, mtu: int, repeatable: bool
    ) -> tuple[str, str]:
        """The engine for a link that has these impairments, one after the other, and why that one.

        Args:
            link: its name.
            successive: all that it is to have.
            wanted: `auto`, `netem` or `userspace`.
            mtu: bytes of an IP packet on the link's network.
            repeatable: a seed was asked for.

        Raises:
            MachineError: `engine-unavailable`.
        """
        if wanted == "userspace":
            return "userspace", "asked for"
        exactly = wanted == "auto"
        reasons = (
            self._against(impairments, mtu, exactly=exactly, repeatable=repeatable) for impairments in successive
        )
        reason = next((each for each in reasons if each), None)
        if exactly:
            why = "this kernel has it and it does exactly what is asked"
            return ("userspace", reason) if reason else ("netem", why)
        if reason:
            raise MachineError(
                "engine-unavailable",
                f"{link}: engine netem can't do this link: {reason}",
                (self.without_netem and self.without_netem.hint) or "leave engine out (auto), or ask for userspace",
            )
        return "netem", "asked for"

    def _against(self, impairments: Impairments, mtu: int, *, exactly: bool, repeatable: bool) -> str | None:
        """Why the kernel's engine can't do impairments, or not exactly, or not again; None where it can."""
        reason = self.without_netem.message if self.without_netem else netem.supports(impairments, mtu=mtu)
        if exactly:
            reason = reason or netem.compromises(impairments, mtu=mtu)
            if repeatable and impairments.is_random:
                reason = reason or self.unrepeatable or netem.unrepeatable(impairments)
        return reason
