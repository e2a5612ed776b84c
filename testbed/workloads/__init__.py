"""Traffic between the nodes of a lab, and what is to be said about it.

`run` carries out one workload; `summarise` computes the same summary again from a record that was kept.
"""

from testbed.metrics import METRICS, Metric
from testbed.workloads.errors import WorkloadError
from testbed.workloads.kinds import Kind, ProgramKind, kinds
from testbed.workloads.nodes import Guarded, Nodes, Process, Program
from testbed.workloads.running import run
from testbed.workloads.starting import Start
from testbed.workloads.summarisers.base import interval_ns
from testbed.workloads.summarising import summarise
from testbed.workloads.summary import Summary

__all__ = [
    "METRICS",
    "Guarded",
    "Kind",
    "Metric",
    "Nodes",
    "Process",
    "Program",
    "ProgramKind",
    "Start",
    "Summary",
    "WorkloadError",
    "interval_ns",
    "kinds",
    "run",
    "summarise",
]
