"""Start the client and the server of a workload, and compute how long the server may take to end."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from testbed import kinds
from testbed.endpoint.patience import stall_ns
from testbed.endpoint.spec import Spec
from testbed.workloads.errors import WorkloadError
from testbed.workloads.programs import ReadProgram

if TYPE_CHECKING:
    from testbed.kinds import Kind
    from testbed.plan.workloads import Workload
    from testbed.workloads.nodes import EndpointProcess, Nodes


def kind_of(workload: Workload) -> Kind:
    """Return the kind of a workload.

    Raises:
        WorkloadError: the kind does not exist.
    """
    kind = kinds.find(workload.kind)
    if kind is None:
        names = ", ".join(kinds.kinds())
        message = f"workload {workload.name} is of kind {workload.kind!r}"
        raise WorkloadError("unknown-kind", message, f"kinds are {names}")
    return kind


def start_server(workload: Workload, nodes: Nodes, round_trip_ns: int) -> EndpointProcess:
    """Start the server in the destination; the longest round trip decides how long it waits for the client."""
    kind = kind_of(workload)
    if kind.by_endpoint:
        return nodes.endpoint(workload.destination, _spec(workload, "server", round_trip_ns))
    make_reader = partial(kind.part("program").Server, workload, round_trip_ns)
    program = ReadProgram(nodes, workload.destination, make_reader)
    program.begin(nodes.now_ns())
    return program


def start_client(workload: Workload, nodes: Nodes, round_trip_ns: int) -> EndpointProcess:
    """Start the client in the source, which prepares itself and then waits for `EndpointProcess.begin`."""
    kind = kind_of(workload)
    if kind.by_endpoint:
        return nodes.endpoint(workload.source, _spec(workload, "client", round_trip_ns))
    return ReadProgram(nodes, workload.source, partial(kind.part("program").Client, workload, round_trip_ns))


def linger_ns(workload: Workload, in_flight_ns: int, round_trip_ns: int) -> int:
    """Return how long after the client's end the server may run before it is stopped.

    A program that is stopped counts as failed, so a program gets the time in which the client's last data arrives even
    if it is retransmitted.
    """
    return in_flight_ns if kind_of(workload).by_endpoint else in_flight_ns + stall_ns(round_trip_ns)


def _spec(workload: Workload, role: str, round_trip_ns: int) -> Spec:
    return Spec(
        kind=workload.kind,
        role=role,
        address=workload.address,
        port=workload.port,
        seed=workload.seed,
        round_trip_ns=round_trip_ns,
        parameters=workload.parameters,
    )
