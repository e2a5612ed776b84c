"""What a link does to the packets that cross it, in integers: the vocabulary that plan and engines share."""

from testbed.shape.bottleneck import DISCIPLINES, Discipline, Opportunities, RateSteps, Trace
from testbed.shape.effects import DISTRIBUTIONS, Corruption, Reorder, Variation
from testbed.shape.losses import PROTOCOLS, Drop, FourState, GilbertElliott
from testbed.shape.probability import CERTAIN, Chance, LossModel
from testbed.shape.whole import CLEAR, NOTHING_LATENT, Latent, Shape

__all__ = [
    "CERTAIN",
    "CLEAR",
    "DISCIPLINES",
    "DISTRIBUTIONS",
    "NOTHING_LATENT",
    "PROTOCOLS",
    "Chance",
    "Corruption",
    "Discipline",
    "Drop",
    "FourState",
    "GilbertElliott",
    "Latent",
    "LossModel",
    "Opportunities",
    "RateSteps",
    "Reorder",
    "Shape",
    "Trace",
    "Variation",
]
