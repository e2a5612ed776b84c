"""What a link does to the packets that cross it, in integers: the vocabulary that plan and engines share."""

from testbed.impairments.bottleneck import DISCIPLINES, Discipline, Opportunities, RateSteps, Trace
from testbed.impairments.effects import DISTRIBUTIONS, Corruption, Reorder, Variation
from testbed.impairments.losses import PROTOCOLS, Drop, FourState, GilbertElliott
from testbed.impairments.probability import CERTAIN, Chance, LossModel
from testbed.impairments.whole import CLEAR, NOTHING_LATENT, Latent, Shape

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
