"""Whether links do what was asked of them, and whether the emulation kept up: `measure` before a run, `trust` after."""

from testbed.check.probing import DEEP, QUICK, Depth, measure
from testbed.check.trusting import disturbances, late_senders, trust
from testbed.check.verdict import AS_ASKED, Finding, LinkCheck

__all__ = [
    "AS_ASKED",
    "DEEP",
    "QUICK",
    "Depth",
    "Finding",
    "LinkCheck",
    "disturbances",
    "late_senders",
    "measure",
    "trust",
]
