"""Faults of nodes: `NodeFaults` carries out `testbed.faults` and undoes them.

A runtime's way to do so is a `NodeControl`: `containers` asks the Docker Engine, `own_nodes` acts on the node itself.
"""

from testbed.agent.faults.containers import ContainerControl
from testbed.agent.faults.control import NodeControl
from testbed.agent.faults.node_faults import NodeFaults
from testbed.agent.faults.own_nodes import OwnNodeControl

__all__ = ["ContainerControl", "NodeControl", "NodeFaults", "OwnNodeControl"]
