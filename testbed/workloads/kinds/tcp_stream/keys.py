"""The keys of tcp-stream."""

from collections.abc import Iterator
from typing import Literal

from testbed.topology.base import Fault, key
from testbed.topology.values import Congestion, Flag, SomeDuration, SomeSize
from testbed.topology.workloads.base import SECOND, TCP_REACH, TLS_MEANING, Parameter, Reach, WorkloadKeys


class TcpStream(WorkloadKeys):
    """One TCP connection that carries as much as it can."""

    kind: Literal["tcp-stream"] = key("One TCP connection that carries as much as it can")
    duration_ns: SomeDuration | None = key(
        "How long to send; instead of bytes", alias="duration", default=None, written="10s"
    )
    size_bytes: SomeSize | None = key("How much to send; instead of duration", alias="bytes", default=None)
    congestion: Congestion | None = key("TCP congestion control; the sending node's sysctl, else cubic", default=None)
    tls: Flag | None = key(TLS_MEANING, default=None, example=True)

    @property
    def reach(self) -> Reach:
        """The reach of TCP."""
        return TCP_REACH

    @property
    def parameters(self) -> dict[str, Parameter]:
        """The parameters; by default the stream lasts ten seconds."""
        given = super().parameters
        return given if {"duration_ns", "size_bytes"} & given.keys() else {"duration_ns": 10 * SECOND, **given}

    def contradictions(self) -> Iterator[Fault]:
        """Yield the fault of a file that gives both `bytes` and `duration`."""
        if self.duration_ns is not None and self.size_bytes is not None:
            hint = "duration says how long to send, bytes says how much: leave one out"
            yield Fault(("bytes",), "conflicting-keys", "is given beside duration", hint)
