"""What is wrong with names that the programs of nodes look up: `names.Names` keeps it, `lookups` says how it works."""

from testbed.agent.faults.names.names import Names

__all__ = ["Names"]
