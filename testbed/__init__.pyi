from testbed import lab as lab
from testbed import pytest as pytest
from testbed import runs as runs
from testbed import topology as topology
from testbed.lab import Lab as Lab
from testbed.lab import LinkHandle as Link
from testbed.lab import NodeHandle as Node
from testbed.report.notebook import charts as charts
from testbed.runs import Run as Run
from testbed.topology import Topology as Topology
from testbed.topology import build as build

__all__ = [
    "Lab",
    "Link",
    "Node",
    "Run",
    "Topology",
    "__version__",
    "build",
    "charts",
    "lab",
    "pytest",
    "runs",
    "topology",
]

__version__: str
