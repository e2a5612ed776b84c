"""What runs in a plan: its workloads, and the capture of their packets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from testbed.agent.capture import SIZE_BYTES, SNAP_BYTES
from testbed.decisive import ADDRESS, NOT_DECISIVE, SEED
from testbed.families import family_of
from testbed.kinds import find
from testbed.matching import Packets
from testbed.plan.frozen import freeze


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """Traffic from one node to another.

    Attributes:
        kind: one of `testbed.workloads.kinds`.
        source: the node that starts (and, of a stream, sends).
        destination: the node that listens.
        address: of the destination, on the network that both share or where the path to it arrives.
        port: TCP or UDP port of the server, one per workload.
        seed: 64 bits.
        parameters: the kind's own, integers, strings, booleans or strings in a row; units are in their names.
        group: the name of the file's workload that members of a group of nodes run, each one like this; else empty.
    """

    name: str
    kind: str
    source: str
    destination: str
    address: str = field(metadata=ADDRESS)
    port: int
    seed: int = field(metadata=SEED)
    parameters: Mapping[str, int | str | bool | tuple[str, ...]] = field(hash=False)
    group: str = field(default="", metadata=NOT_DECISIVE)

    def __post_init__(self) -> None:
        freeze(self, "parameters")

    @property
    def family(self) -> int:
        """The family of IP that it uses: that of its address."""
        return family_of(self.address)

    @property
    def packets(self) -> Packets:
        """The packets that its client sends."""
        kind = find(self.kind)
        packets = Packets(
            kind.protocols if kind else (), destination_port=self.port if kind and kind.protocols else None
        )
        return packets.over(self.family)

    def number(self, name: str) -> int:
        """Return an integer parameter; KeyError if the kind has no such parameter, TypeError if it is no integer."""
        value = self.parameters[name]
        if not isinstance(value, int):
            raise TypeError(f"{name} is {value!r}, no integer")
        return value


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureSettings:
    """What packets are captured during a run.

    Attributes:
        nodes: where, on each of their networks.
        snap_bytes: what is kept of a packet.
        size_bytes: what the packets of a port may take; the newest are kept.
    """

    nodes: tuple[str, ...] = ()
    snap_bytes: int = SNAP_BYTES
    size_bytes: int = SIZE_BYTES
