"""The kinds of workload: who does what, and who makes the summary."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol

from testbed.workloads import summarisers
from testbed.workloads.errors import WorkloadError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from testbed.plan.model import Workload
    from testbed.workloads.summarisers import Summariser


class Kind(Protocol):
    """How a kind of workload is carried out by endpoints."""

    def listener(self, workload: Workload) -> Mapping[str, Any] | None:
        """The spec of the endpoint in the destination, which starts first; None where none is needed."""

    def initiator(self, workload: Workload) -> Mapping[str, Any]:
        """The spec of the endpoint in the source."""

    def summariser(self, workload: Workload) -> Summariser:
        """What makes the summary."""


@dataclass(frozen=True, slots=True)
class _Own:
    """A kind that the testbed's own endpoint carries out."""

    make_summariser: Callable[[Workload], Summariser]
    listens: bool = True

    def listener(self, workload: Workload) -> Mapping[str, Any] | None:
        return _spec(workload, "listener") if self.listens else None

    def initiator(self, workload: Workload) -> Mapping[str, Any]:
        return _spec(workload, "initiator")

    def summariser(self, workload: Workload) -> Summariser:
        return self.make_summariser(workload)


def _spec(workload: Workload, role: str) -> Mapping[str, Any]:
    return {
        "kind": workload.kind,
        "role": role,
        "address": workload.address,
        "port": workload.port,
        "seed": workload.seed,
        "parameters": dict(workload.parameters),
    }


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "tcp-stream": _Own(summarisers.TcpStream),
        "tcp-rr": _Own(summarisers.TcpRequestResponse),
        "udp-stream": _Own(summarisers.UdpStream),
        "udp-rr": _Own(summarisers.UdpRequestResponse),
        "ping": _Own(summarisers.Ping, listens=False),
    }
)
"""Every kind by its name in the file."""


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
