"""The public Python API: bring a topology up, use its nodes and links, run its workloads, take it down.

with Lab.up("lossy") as lab:
    lab["client"].run(["ping", "-c", "1", "server"])
    lab.link("client", "server").update(loss="10%")
    lab.run_workload("download").number("goodput_bps")
"""

from testbed.lab.bringup import agent_ahead, all_labs, find, take_down
from testbed.lab.handles import LinkHandle, NodeHandle
from testbed.lab.lab import Lab
from testbed.lab.observer import Observer

__all__ = ["Lab", "LinkHandle", "NodeHandle", "Observer", "agent_ahead", "all_labs", "find", "take_down"]
