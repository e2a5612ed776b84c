"""The kinds of workload: who does what, and who makes the summary."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from testbed.endpoint.patience import stall_ns
from testbed.third_party import third_party
from testbed.workloads import command, iperf3
from testbed.workloads.errors import WorkloadError
from testbed.workloads.programs import ReadProgram
from testbed.workloads.summarisers.command import Command
from testbed.workloads.summarisers.dns import Dns
from testbed.workloads.summarisers.http import Http
from testbed.workloads.summarisers.iperf3 import Iperf3
from testbed.workloads.summarisers.ping import Ping
from testbed.workloads.summarisers.tcp import Quic, TcpMessages, TcpRequestResponse, TcpStream
from testbed.workloads.summarisers.udp import UdpRequestResponse, UdpStream

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from testbed.plan.model import Workload
    from testbed.workloads.nodes import Nodes, Process
    from testbed.workloads.programs import Reader
    from testbed.workloads.summarisers import Summariser


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """How a kind of workload is carried out by endpoints.

    Attributes:
        summariser: makes what makes the summary of a workload.
        listens: an endpoint listens in the destination, and starts first; else something else does there.
    """

    summariser: Callable[[Workload], Summariser]
    listens: bool = True

    def listen(self, workload: Workload, nodes: Nodes, round_trip_ns: int) -> Process:
        """Start the endpoint in the destination; the longest round trip tells it how long to wait for the other."""
        return nodes.endpoint(workload.destination, _spec(workload, "listener", round_trip_ns))

    def initiate(self, workload: Workload, nodes: Nodes, round_trip_ns: int) -> Process:
        """Start the endpoint in the source."""
        return nodes.endpoint(workload.source, _spec(workload, "initiator", round_trip_ns))

    def linger_ns(self, in_flight_ns: int, round_trip_ns: int) -> int:  # noqa: ARG002 (of kinds that need it)
        """How long the destination may take to end by itself, after the source, before it is told to."""
        return in_flight_ns


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramKind(Kind):
    """A kind that programs of the nodes' own carry out.

    Attributes:
        initiator: makes what reads the program in the source, from the workload and the path's longest round trip, ns.
        server: the same for the program in the destination, if one is started there.
    """

    initiator: Callable[[Workload, int], Reader]
    server: Callable[[Workload, int], Reader] | None = None

    def listen(self, workload: Workload, nodes: Nodes, round_trip_ns: int) -> Process:
        """Start the program in the destination."""
        assert self.server is not None  # noqa: S101 (it listens)
        program = ReadProgram(nodes, workload.destination, partial(self.server, workload, round_trip_ns))
        program.begin(nodes.now_ns())
        return program

    def initiate(self, workload: Workload, nodes: Nodes, round_trip_ns: int) -> Process:
        """Have the program in the source start when the workload does."""
        return ReadProgram(nodes, workload.source, partial(self.initiator, workload, round_trip_ns))

    def linger_ns(self, in_flight_ns: int, round_trip_ns: int) -> int:
        """Until what the client said last has come, sent again perhaps: a program that is stopped has failed."""
        return in_flight_ns + stall_ns(round_trip_ns)


def _spec(workload: Workload, role: str, round_trip_ns: int) -> Mapping[str, Any]:
    return {
        "kind": workload.kind,
        "role": role,
        "address": workload.address,
        "port": workload.port,
        "seed": workload.seed,
        "round_trip_ns": round_trip_ns,
        "parameters": dict(workload.parameters),
    }


GROUP = "testbed.workloads"

OWN: Mapping[str, Kind] = MappingProxyType(
    {
        "tcp-stream": Kind(summariser=TcpStream),
        "tcp-rr": Kind(summariser=TcpRequestResponse),
        "tcp-messages": Kind(summariser=TcpMessages),
        "udp-stream": Kind(summariser=UdpStream),
        "udp-rr": Kind(summariser=UdpRequestResponse),
        "dns": Kind(summariser=Dns, listens=False),
        "ping": Kind(summariser=Ping, listens=False),
        "http": Kind(summariser=Http, listens=False),
        "quic": Kind(summariser=Quic),
        "iperf3": ProgramKind(summariser=Iperf3, initiator=iperf3.Client, server=iperf3.Server),
        "command": ProgramKind(summariser=Command, initiator=command.Reader, listens=False),
    }
)
"""The testbed's own kinds."""


@cache
def kinds() -> Mapping[str, Kind]:
    """Every kind by its name in the file, those of third parties too, which import this package."""
    return MappingProxyType({**OWN, **third_party(GROUP, own=OWN)})


def kind_of(workload: Workload) -> Kind:
    """The kind of a workload.

    Raises:
        WorkloadError: there is no such kind.
    """
    if workload.kind not in kinds():
        raise WorkloadError(
            "unknown-kind", f"workload {workload.name} is of kind {workload.kind!r}", f"kinds are {', '.join(kinds())}"
        )
    return kinds()[workload.kind]
