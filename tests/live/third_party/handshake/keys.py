"""The keys of handshake."""

from typing import Literal

from testbed.topology.base import key
from testbed.topology.values import Count
from testbed.topology.workloads import WorkloadKeys


class Handshake(WorkloadKeys):
    """TCP connections, set up and closed."""

    kind: Literal["handshake"] = key("TCP connections, set up and closed")
    count: Count = key("How many connections", default=10)
