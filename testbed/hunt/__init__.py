"""Hunts: faults are drawn from one seed after the other until a run fails, and then shrunk.

The result is the fewest of those faults, as short and mild as possible, that still make the topology fail.

`shrinking` decides what to try, and knows nothing of labs. `trials` runs what is tried, and remembers the outcomes.
`hunting` puts the two together.
"""

from testbed.hunt.hunting import HUNTS, Found, Hunt, HuntObserver, HuntOutcome
from testbed.hunt.shrinking import shrink
from testbed.hunt.trials import FailureRule

__all__ = ["HUNTS", "FailureRule", "Found", "Hunt", "HuntObserver", "HuntOutcome", "shrink"]
