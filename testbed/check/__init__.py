"""Whether links do what was requested, and whether the emulation kept up: `measure` before a run, `trust` after."""

from testbed.check.budget import DEEP, QUICK, Depth
from testbed.check.nats import NatCheck, check_nats
from testbed.check.paths import paths_of
from testbed.check.probing import measure
from testbed.check.routed import as_routed
from testbed.check.trusting import UNCHECKED, disturbances, late_senders, trust, unmeasured_links
from testbed.check.verdict import AS_REQUESTED, Finding, LinkCheck

__all__ = [
    "AS_REQUESTED",
    "DEEP",
    "QUICK",
    "UNCHECKED",
    "Depth",
    "Finding",
    "LinkCheck",
    "NatCheck",
    "as_routed",
    "check_nats",
    "disturbances",
    "late_senders",
    "measure",
    "paths_of",
    "trust",
    "unmeasured_links",
]
