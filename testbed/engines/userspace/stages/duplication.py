"""Duplication of frames."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed.engines.userspace.stages.stage import Counts, Frame, random_words

if TYPE_CHECKING:
    from testbed.impairments import RandomEvent


class Duplication:
    """Duplicates some frames; the copy follows the original at once, and each then has its own delay.

    The stage draws one word per frame and duplicates the frame if the word is less than the probability.
    """

    __slots__ = ("_counts", "_draw", "_probability")

    def __init__(self, event: RandomEvent, seed: str, counts: Counts) -> None:
        self._draw = random_words(seed, "duplicate", event.correlation)
        self._probability = event.probability
        self._counts = counts

    def cross(self, frames: list[Frame]) -> list[Frame]:
        """Return all frames, some of them twice."""
        out = []
        for frame in frames:
            out.append(frame)
            if self._draw() < self._probability:
                out.append(frame)
        self._counts.duplicated += len(out) - len(frames)
        return out
