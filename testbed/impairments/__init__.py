"""The impairments of a link, in integers: the vocabulary that topology, plan, engines and check share."""

from testbed.impairments.bottleneck import (
    Bottleneck,
    CoDel,
    Discipline,
    DropHead,
    DropTail,
    FixedRate,
    FqCoDel,
    Opportunities,
    RateSteps,
    Trace,
)
from testbed.impairments.effects import Corruption, Jitter, Reorder
from testbed.impairments.link import CLEAR, Impairments
from testbed.impairments.losses import (
    PROTOCOLS,
    Blackhole,
    CorrelatedLoss,
    Drop,
    FourState,
    GilbertElliott,
    IndependentLoss,
    Loss,
    RandomLoss,
)
from testbed.impairments.probability import CERTAIN, RandomEvent

__all__ = [
    "CERTAIN",
    "CLEAR",
    "PROTOCOLS",
    "Blackhole",
    "Bottleneck",
    "CoDel",
    "CorrelatedLoss",
    "Corruption",
    "Discipline",
    "Drop",
    "DropHead",
    "DropTail",
    "FixedRate",
    "FourState",
    "FqCoDel",
    "GilbertElliott",
    "Impairments",
    "IndependentLoss",
    "Jitter",
    "Loss",
    "Opportunities",
    "RandomEvent",
    "RandomLoss",
    "RateSteps",
    "Reorder",
    "Trace",
]
