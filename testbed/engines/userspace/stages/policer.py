"""Policing: dropping what exceeds a rate, without a queue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from testbed.engines.userspace.stages.stage import Counts, Frame
    from testbed.impairments import Policer

_BYTE_TOKENS: Final = 8 * 10**9
"""The tokens of a byte: at r bit/s, r of them come each nanosecond, so that nothing is ever rounded."""


class Policing:
    """Drops each frame for which the token bucket has too few tokens (`testbed.impairments.Policer`).

    Args:
        policer: of the link.
        counts: of the link.
        now: when the policer begins, with a full bucket.
    """

    __slots__ = ("_counts", "_filled_ns", "_most", "_rate_bps", "_tokens")

    def __init__(self, policer: Policer, counts: Counts, now: int) -> None:
        self._rate_bps = policer.rate_bps
        self._most = policer.burst_bytes * _BYTE_TOKENS
        self._tokens = self._most
        self._filled_ns = now
        self._counts = counts

    def cross(self, frames: list[Frame]) -> list[Frame]:
        """Return the frames within the rate."""
        kept = []
        for frame in frames:
            now, packet = frame
            tokens = min(self._tokens + (now - self._filled_ns) * self._rate_bps, self._most)
            self._filled_ns = now
            cost = len(packet) * _BYTE_TOKENS
            if cost <= tokens:
                tokens -= cost
                kept.append(frame)
            self._tokens = tokens
        self._counts.policed += len(frames) - len(kept)
        return kept
