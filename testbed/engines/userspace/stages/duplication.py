"""Frames that go on twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed.engines.userspace.stages.stage import Counts, Frame, words

if TYPE_CHECKING:
    from testbed.impairments import RandomEvent


class Duplication:
    """Sends some frames on twice, the copy right behind; each is then delayed by itself.

    One word per frame that reaches the stage: it is doubled if the word is less than its probability.
    """

    __slots__ = ("_counts", "_draw", "_probability")

    def __init__(self, event: RandomEvent, seed: str, counts: Counts) -> None:
        self._draw = words(seed, "duplicate", event.correlation)
        self._probability = event.probability
        self._counts = counts

    def cross(self, frames: list[Frame]) -> list[Frame]:
        """All frames, some of them twice."""
        out = []
        for frame in frames:
            out.append(frame)
            if self._draw() < self._probability:
                out.append(frame)
        self._counts.duplicated += len(out) - len(frames)
        return out
