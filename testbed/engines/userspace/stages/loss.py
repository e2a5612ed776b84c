"""Random loss: of each frame independently, or by a Markov chain, so that losses come in bursts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from testbed.engines.userspace.segments import SegmentTrain
from testbed.engines.userspace.stages.stage import Counts, Frame, RandomWords, random_words, steps
from testbed.impairments import (
    CERTAIN,
    Blackhole,
    CorrelatedLoss,
    FourState,
    GilbertElliott,
    IndependentLoss,
    LossSteps,
)

if TYPE_CHECKING:
    from testbed.impairments import Loss


class LossStage(ABC):
    """A stage that drops packets, and leaves those of a frame together that it does not drop.

    Args:
        counts: of the link.
    """

    __slots__ = ("_counts",)

    def __init__(self, counts: Counts) -> None:
        self._counts = counts

    def cross(self, frames: list[Frame]) -> list[Frame]:
        """Return the single packets that are not lost."""
        kept = [frame for frame in frames if not self.loses(frame[0])]
        self._counts.lost += len(frames) - len(kept)
        return kept

    def cross_trains(self, frames: list[Frame]) -> list[Frame]:
        """Return the packets that are not lost."""
        kept: list[Frame] = []
        for frame in frames:
            now, packet = frame
            if type(packet) is not SegmentTrain:
                kept += self.cross([frame])
                continue
            lost = self.lost_of(packet.count, now)
            self._counts.lost += len(lost)
            if lost:
                kept += [(now, part) for part in packet.without(lost)]
            else:
                kept.append(frame)
        return kept

    def lost_of(self, count: int, now: int) -> list[int]:
        """Return the numbers of those of the next `count` packets, from 0, that are lost; they arrive at `now`."""
        return [number for number in range(count) if self.loses(now)]

    @abstractmethod
    def loses(self, now: int) -> bool:
        """Return whether the next packet is lost, which arrives at `now`."""


def loss_stage(loss: Loss, seed: str, counts: Counts, applied: int) -> LossStage:
    """Return the stage that carries out a loss model, with a trace that begins at `applied`."""
    match loss:
        case IndependentLoss(probability=probability):
            return ThresholdLoss(random_words(seed, "loss"), probability, counts)
        case CorrelatedLoss(probability=probability, correlation=correlation):
            return ThresholdLoss(random_words(seed, "loss", correlation), probability, counts)
        case GilbertElliott():
            return GilbertElliottLoss(loss, seed, counts)
        case FourState():
            return FourStateLoss(loss, seed, counts)
        case LossSteps():
            return VaryingLoss(loss, random_words(seed, "loss"), counts, applied)
        case Blackhole():
            return ThresholdLoss(random_words(seed, "loss"), CERTAIN, counts)


class ThresholdLoss(LossStage):
    """Drops each frame with a probability, independently of the others unless a correlation is set.

    The stage draws one word per frame and drops the frame if the word is less than the probability. Without a
    correlation, the frames lost at a lower probability are therefore a subset of those lost at a higher one.
    """

    __slots__ = ("_draw", "_probability")

    def __init__(self, draw: RandomWords, probability: int, counts: Counts) -> None:
        super().__init__(counts)
        self._draw = draw
        self._probability = probability

    def cross(self, frames: list[Frame]) -> list[Frame]:
        """Return the single packets that are not lost: as the general method, without a call for each."""
        draw = self._draw
        probability = self._probability
        kept = [frame for frame in frames if draw() >= probability]
        self._counts.lost += len(frames) - len(kept)
        return kept

    def lost_of(self, count: int, now: int) -> list[int]:  # noqa: ARG002  # does not depend on the time
        """Return the numbers of those that are lost: as the general method, without a call for each."""
        draw = self._draw
        probability = self._probability
        return [number for number in range(count) if draw() < probability]

    def loses(self, now: int) -> bool:  # noqa: ARG002  # does not depend on the time
        """Return whether the next packet is lost."""
        return self._draw() < self._probability


class VaryingLoss(LossStage):
    """Drops each frame independently, with the probability that a trace has when it arrives; words as `ThresholdLoss`.

    Args:
        trace: of the probability.
        draw: draws the words.
        counts: of the link.
        applied: when the trace begins.
    """

    __slots__ = ("_draw", "_probability_at")

    def __init__(self, trace: LossSteps, draw: RandomWords, counts: Counts, applied: int) -> None:
        super().__init__(counts)
        self._draw = draw
        self._probability_at = steps(trace.starts_ns, trace.probabilities, trace.period_ns, applied)

    def loses(self, now: int) -> bool:
        """Return whether the next packet is lost."""
        return self._draw() < self._probability_at(now)


class GilbertElliottLoss(LossStage):
    """Drops frames by a Markov chain of two states (RFC 6534, 3.2), which begins in the good state.

    The stage draws two words per frame. The chain changes its state if the first word is less than the probability of
    leaving it; the frame is then lost if the second word is less than the probability of loss in the current state.
    """

    __slots__ = ("_bad", "_draw", "_leave", "_lose")

    def __init__(self, model: GilbertElliott, seed: str, counts: Counts) -> None:
        super().__init__(counts)
        self._draw = random_words(seed, "loss")
        self._leave = (model.to_bad, model.to_good)
        self._lose = (model.loss_good, model.loss_bad)
        self._bad = False

    def loses(self, now: int) -> bool:  # noqa: ARG002  # does not depend on the time
        """Return whether the next packet is lost."""
        if self._draw() < self._leave[self._bad]:
            self._bad = not self._bad
        return self._draw() < self._lose[self._bad]


class FourStateLoss(LossStage):
    """Drops frames by a Markov chain of four states, which begins in state 1 (`testbed.impairments.FourState`).

    The stage draws one word w per frame and moves the chain; the frame is lost if the chain is then in state 3 or 4.
    From state 1: to 4 if w < p14, else to 3 if w < p14 + p13. From 2: to 3 if w < p23. From 3: to 2 if w < p32, else to
    1 if w < p32 + p31. From 4: to 1.
    """

    __slots__ = ("_draw", "_moves", "_state")

    def __init__(self, model: FourState, seed: str, counts: Counts) -> None:
        super().__init__(counts)
        self._draw = random_words(seed, "loss")
        self._moves = {
            1: ((model.p14, 4), (model.p14 + model.p13, 3)),
            2: ((model.p23, 3),),
            3: ((model.p32, 2), (model.p32 + model.p31, 1)),
            4: ((1 << 32, 1),),
        }
        self._state = 1

    def loses(self, now: int) -> bool:  # noqa: ARG002  # does not depend on the time
        """Return whether the next packet is lost."""
        word = self._draw()
        self._state = next((state for below, state in self._moves[self._state] if word < below), self._state)
        return self._state not in (1, 2)
