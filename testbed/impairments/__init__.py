"""What a link does to the packets that cross it, in integers: the vocabulary that plan and engines share."""

from testbed.impairments.bottleneck import DISCIPLINES, Discipline, Opportunities, RateSteps, Trace
from testbed.impairments.effects import DISTRIBUTIONS, Corruption, Reorder, Variation
from testbed.impairments.link import CLEAR, NOTHING_LATENT, Impairments, Latent
from testbed.impairments.losses import PROTOCOLS, Drop, FourState, GilbertElliott
from testbed.impairments.probability import CERTAIN, Chance, LossModel

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
    "Impairments",
    "Latent",
    "LossModel",
    "Opportunities",
    "RateSteps",
    "Reorder",
    "Trace",
    "Variation",
]
