"""The kernel engine: a link's shape as netem and tbf on a device of the link's own.

`supports` and `probe` say whether it will do; `apply` sets a shape, and sets another; `statistics` counts.
"""

from testbed.agent.netem.engine import Statistics, apply, compromises, probe, statistics, supports

__all__ = ["Statistics", "apply", "compromises", "probe", "statistics", "supports"]
