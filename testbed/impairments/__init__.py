"""The impairments of a link, in integers: the vocabulary that topology, plan, engines and check share."""

from testbed.impairments.bottleneck import Bottleneck, FixedRate, Policer, TokenBucket
from testbed.impairments.disciplines import (
    ACTIVE,
    Cake,
    CoDel,
    Discipline,
    DropHead,
    DropTail,
    DualPi2,
    FqCoDel,
    Pie,
    Red,
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
from testbed.impairments.times import Times
from testbed.impairments.traces import DelaySteps, LossSteps, Opportunities, RateSteps, Trace

__all__ = [
    "ACTIVE",
    "CERTAIN",
    "CLEAR",
    "PROTOCOLS",
    "Blackhole",
    "Bottleneck",
    "Cake",
    "CoDel",
    "CorrelatedLoss",
    "Corruption",
    "DelaySteps",
    "Discipline",
    "Drop",
    "DropHead",
    "DropTail",
    "DualPi2",
    "FixedRate",
    "FourState",
    "FqCoDel",
    "GilbertElliott",
    "Impairments",
    "IndependentLoss",
    "Jitter",
    "Loss",
    "LossSteps",
    "Opportunities",
    "Pie",
    "Policer",
    "RandomEvent",
    "RandomLoss",
    "RateSteps",
    "Red",
    "Reorder",
    "Times",
    "TokenBucket",
    "Trace",
]
