"""The kinds of workload: who does what, and who makes the summary."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from testbed.third_party import third_party
from testbed.workloads.errors import WorkloadError
from testbed.workloads.summarisers.ping import Ping
from testbed.workloads.summarisers.tcp import TcpRequestResponse, TcpStream
from testbed.workloads.summarisers.udp import UdpRequestResponse, UdpStream

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from testbed.plan.model import Workload
    from testbed.workloads.summarisers import Summariser


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """How a kind of workload is carried out by endpoints.

    Attributes:
        summariser: makes what makes the summary of a workload.
        listens: an endpoint of ours listens in the destination, and starts first; else something else does there.
    """

    summariser: Callable[[Workload], Summariser]
    listens: bool = True

    def listener(self, workload: Workload) -> Mapping[str, Any] | None:
        """The spec of the endpoint in the destination; None where none is needed."""
        return _spec(workload, "listener") if self.listens else None

    def initiator(self, workload: Workload) -> Mapping[str, Any]:
        """The spec of the endpoint in the source."""
        return _spec(workload, "initiator")


def _spec(workload: Workload, role: str) -> Mapping[str, Any]:
    return {
        "kind": workload.kind,
        "role": role,
        "address": workload.address,
        "port": workload.port,
        "seed": workload.seed,
        "parameters": dict(workload.parameters),
    }


GROUP = "testbed.workloads"

OWN: Mapping[str, Kind] = MappingProxyType(
    {
        "tcp-stream": Kind(summariser=TcpStream),
        "tcp-rr": Kind(summariser=TcpRequestResponse),
        "udp-stream": Kind(summariser=UdpStream),
        "udp-rr": Kind(summariser=UdpRequestResponse),
        "ping": Kind(summariser=Ping, listens=False),
    }
)
"""The testbed's own kinds."""

KINDS: Mapping[str, Kind] = MappingProxyType({**OWN, **third_party(GROUP, own=OWN)})
"""Every kind by its name in the file, those of third parties too."""


def kind_of(workload: Workload) -> Kind:
    """The kind of a workload.

    Raises:
        WorkloadError: there is no such kind.
    """
    if workload.kind not in KINDS:
        raise WorkloadError(
            "unknown-kind", f"workload {workload.name} is of kind {workload.kind!r}", f"kinds are {', '.join(KINDS)}"
        )
    return KINDS[workload.kind]
