"""What all kinds of workload share."""

from collections.abc import Iterator
from typing import ClassVar, NamedTuple

from testbed import units
from testbed.topology.address_values import Family
from testbed.topology.base import Fault, Model, key
from testbed.topology.values import Name

SECOND = units.DURATION.parse("1s")

TLS_MEANING = "TLS 1.3 over the connection; not unless given"
"""The description of the key `tls`."""

Parameter = int | str | bool | tuple[str, ...]
"""A parameter of a kind, as the plan has it."""


class Reach(NamedTuple):
    """Over which paths a kind works.

    Attributes:
        round_trip_ns: the longest round trip.
        why: it does not work over a longer one, and what to do.
    """

    round_trip_ns: int
    why: str


TCP_REACH = Reach(60 * SECOND, "Linux forgets a connection that is not set up after 63 s: use a kind over UDP, or quic")
"""Of what sets up TCP connections: the listening side sends its SYN-ACK six times, and 63 s after the first it forgets
the connection (net.ipv4.tcp_synack_retries)."""


class WorkloadEnds(Model):
    """What a workload is called and where it goes."""

    name: Name = key("The workload's name, in results and in `expect`", example="download")
    source: Name = key("The node that starts; of a stream, the one that sends", alias="from", example="client")
    destination: Name = key("The node that listens", alias="to", example="server")
    network: Name | None = key(
        "Which network to cross; needed only where the two nodes share several", default=None, example="lan"
    )
    family: Family | None = key(
        "The family of IP, 4 or 6; unless given, 4 where it leads there, else 6", default=None, example=6
    )


class WorkloadKeys(WorkloadEnds):
    """What all kinds of traffic share."""

    kind: str = key("What traffic it is")

    goes_nowhere: ClassVar[bool] = False

    @property
    def parameters(self) -> dict[str, Parameter]:
        """The kind's own, by the plan's names; what is left to the plan is not there.

        `port` is where a server of the node's own listens; for endpoints of ours the plan chooses one.
        """
        return own(self, WorkloadKeys)

    @property
    def reach(self) -> Reach | None:
        """How far it works; None: over any path."""
        return None

    def waits(self, round_trip_ns: int) -> dict[str, int]:  # noqa: ARG002 (of kinds that wait)
        """The waiting times among the parameters, as they are unless the file gives them.

        Args:
            round_trip_ns: the longest of the path, full queues included.
        """
        return {}

    def contradictions(self) -> Iterator[Fault]:
        """What the keys, each right by itself, can't say together."""
        yield from ()


class NodeWork(Model):
    """What a workload is called and where it is, if it goes nowhere."""

    name: Name = key("The workload's name, in results and in `expect`", example="download")
    node: Name = key("The node that it is in", alias="in", example="client")


class Work(NodeWork):
    """What all kinds share that concern one node."""

    kind: str = key("What work it is")

    goes_nowhere: ClassVar[bool] = True

    @property
    def source(self) -> str:
        """The node."""
        return self.node

    @property
    def destination(self) -> str:
        """The same node: nothing goes anywhere, as far as the testbed knows."""
        return self.node

    @property
    def network(self) -> None:
        """None: any that the node is on."""

    @property
    def family(self) -> None:
        """None: any that the node has."""

    @property
    def reach(self) -> None:
        """None: as far as the testbed knows, nothing goes anywhere."""

    def waits(self, round_trip_ns: int) -> dict[str, int]:  # noqa: ARG002 (it has no path)
        """None."""
        return {}

    @property
    def parameters(self) -> dict[str, Parameter]:
        """The kind's own, by the plan's names."""
        return own(self, Work)


def reply_timeout_ns(round_trip_ns: int) -> int:
    """How long to wait for an answer unless the file says so: a second, or twice the path's longest round trip."""
    return max(SECOND, 2 * round_trip_ns)


def own(model: Model, base: type[Model]) -> dict[str, Parameter]:
    """The fields of a model that its base has not, but for those without a value."""
    found = {name: getattr(model, name) for name in type(model).model_fields if name not in base.model_fields}
    return {name: value for name, value in found.items() if value is not None}
