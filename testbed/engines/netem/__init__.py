"""The kernel engine: a link's impairments as netem and tbf on a device of the link's own.

`supports`, `compromises` and `unrepeatable` say what follows from the impairments; `probe` and `reproducible` what this
kernel can do. `apply` sets impairments, and sets another; `statistics` counts.
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
