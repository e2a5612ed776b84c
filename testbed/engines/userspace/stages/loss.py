"""Random loss: of each frame independently, or by a Markov chain, so that losses come in bursts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed.engines.userspace.stages.stage import Counts, Frame, RandomWords, Stage, random_words, steps
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


def loss_stage(loss: Loss, seed: str, counts: Counts, applied: int) -> Stage:
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
            return TracedLoss(loss, random_words(seed, "loss"), counts, applied)
        case Blackhole():
            return ThresholdLoss(random_words(seed, "loss"), CERTAIN, counts)


class ThresholdLoss:
    """Drops each frame with a probability, independently of the others unless a correlation is set.

    The stage draws one word per frame and drops the frame if the word is less than the probability. Without a
    correlation, the frames lost at a lower probability are therefore a subset of those lost at a higher one.
    """

    __slots__ = ("_counts", "_draw", "_probability")

    def __init__(self, draw: RandomWords, probability: int, counts: Counts) -> None:
        self._draw = draw
        self._probability = probability
        self._counts = counts

    def cross(self, frames: list[Frame]) -> list[Frame]:
        """Return the frames that are not lost."""
        draw = self._draw
        probability = self._probability
        kept = [frame for frame in frames if draw() >= probability]
        self._counts.lost += len(frames) - len(kept)
        return kept


class TracedLoss:
    """Drops each frame independently, with the probability that a trace has when it arrives; words as `ThresholdLoss`.

    Args:
        trace: of the probability.
        draw: draws the words.
        counts: of the link.
        applied: when the trace begins.
    """

    __slots__ = ("_counts", "_draw", "_probability_at")

    def __init__(self, trace: LossSteps, draw: RandomWords, counts: Counts, applied: int) -> None:
        self._draw = draw
        self._probability_at = steps(trace.starts_ns, trace.probabilities, trace.period_ns, applied)
        self._counts = counts

    def cross(self, frames: list[Frame]) -> list[Frame]:
        """Return the frames that are not lost."""
        kept = [frame for frame in frames if self._draw() >= self._probability_at(frame[0])]
        self._counts.lost += len(frames) - len(kept)
        return kept


class GilbertElliottLoss:
    """Drops frames by a Markov chain of two states (RFC 6534, 3.2), which begins in the good state.

    The stage draws two words per frame. The chain changes its state if the first word is less than the probability of
    leaving it; the frame is then lost if the second word is less than the probability of loss in the current state.
    """

    __slots__ = ("_bad", "_counts", "_draw", "_model")

    def __init__(self, model: GilbertElliott, seed: str, counts: Counts) -> None:
        self._draw = random_words(seed, "loss")
        self._model = model
        self._bad = False
        self._counts = counts

    def cross(self, frames: list[Frame]) -> list[Frame]:
        """Return the frames that are not lost."""
        draw = self._draw
        leave = (self._model.to_bad, self._model.to_good)
        lose = (self._model.loss_good, self._model.loss_bad)
        bad = self._bad
        kept = []
        for frame in frames:
            if draw() < leave[bad]:
                bad = not bad
            if draw() >= lose[bad]:
                kept.append(frame)
        self._bad = bad
        self._counts.lost += len(frames) - len(kept)
        return kept


class FourStateLoss:
    """Drops frames by a Markov chain of four states, which begins in state 1 (`testbed.impairments.FourState`).

    The stage draws one word w per frame and moves the chain; the frame is lost if the chain is then in state 3 or 4.
    From state 1: to 4 if w < p14, else to 3 if w < p14 + p13. From 2: to 3 if w < p23. From 3: to 2 if w < p32, else to
    1 if w < p32 + p31. From 4: to 1.
    """

    __slots__ = ("_counts", "_draw", "_moves", "_state")

    def __init__(self, model: FourState, seed: str, counts: Counts) -> None:
        self._draw = random_words(seed, "loss")
        self._moves = {
            1: ((model.p14, 4), (model.p14 + model.p13, 3)),
            2: ((model.p23, 3),),
            3: ((model.p32, 2), (model.p32 + model.p31, 1)),
            4: ((1 << 32, 1),),
        }
        self._state = 1
        self._counts = counts

    def cross(self, frames: list[Frame]) -> list[Frame]:
        """Return the frames that are not lost."""
        kept = []
        for frame in frames:
            word = self._draw()
            self._state = next((state for below, state in self._moves[self._state] if word < below), self._state)
            if self._state in (1, 2):
                kept.append(frame)
        self._counts.lost += len(frames) - len(kept)
        return kept
