"""The runtime of nodes on several machines, whose Docker Engines form a Swarm."""

from testbed.runtime.swarm.runtime import SwarmRuntime

__all__ = ["SwarmRuntime"]
