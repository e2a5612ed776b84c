"""The kernel engine: a link's shape as netem and tbf on a device of the link's own.

`supports`, `compromises` and `unrepeatable` say what follows from the shape; `probe` and `reproducible` what this
kernel can do. `apply` sets a shape, and sets another; `statistics` counts.
"""

from testbed.engines.netem.engine import Statistics, apply, probe, reproducible, statistics
from testbed.engines.netem.fidelity import compromises, supports, unrepeatable

__all__ = [
    "Statistics",
    "apply",
    "compromises",
    "probe",
    "reproducible",
    "statistics",
    "supports",
    "unrepeatable",
]
