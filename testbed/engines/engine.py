"""The interface of engines, and what the agent gives them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from testbed.engines.counters import Counters
    from testbed.errors import MachineError
    from testbed.impairments import Impairments


class EngineDevice(Protocol):
    """A network device."""

    @property
    def index(self) -> int:
        """Its index in its namespace."""
        ...

    @property
    def mac(self) -> str:
        """Its MAC address."""
        ...


class VethPair(NamedTuple):
    """A veth pair: one end on the switch side, the other in a namespace that ends with the agent.

    Attributes:
        near: the end on the switch side.
        far: the other end.
        far_network: file descriptor of the namespace that the other end is in.
    """

    near: EngineDevice
    far: EngineDevice
    far_network: int


class Devices(Protocol):
    """Makes the devices of links; they are marked as the lab's, and up. All methods raise OSError."""

    def make_ifbs(self, wanted: Mapping[str, int], /) -> Sequence[EngineDevice]:
        """Make ifb devices on the switch side; `wanted` is the MTU of each, by its link's name."""
        ...

    def make_pairs(self, wanted: Mapping[str, int], /) -> Sequence[VethPair]:
        """Make veth pairs, from whose frames a packet socket can tell of which packets they consist.

        `wanted` is the MTU of each, by its link's name.
        """
        ...

    def delete(self, indexes: Iterable[int], /) -> None:
        """Remove devices of the switch side, each of which may have gone already."""
        ...


class Switch(NamedTuple):
    """The namespaces in which an engine works.

    Attributes:
        namespace: file descriptor of the network namespace of the switch side, where ports are.
        home: file descriptor of the agent's own network namespace, which ends with the agent.
        devices: makes devices in both.
    """

    namespace: int
    home: int
    devices: Devices


class NewLink(NamedTuple):
    """A link to carry.

    Attributes:
        name: its name in later calls.
        impairments: of the link; `Engine.judge` has found them possible.
        seed: of all random numbers of the link, 64 bits.
        port: index of the receiver's port on the switch side, where packets leave the link.
        mtu: bytes of an IP packet on the link's network.
        origin_ns: time zero of its traces, ns of CLOCK_MONOTONIC; None is now.
    """

    name: str
    impairments: Impairments
    seed: int
    port: int
    mtu: int
    origin_ns: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineAvailability:
    """Whether an engine works on this machine.

    Attributes:
        description: what it runs on: `in kernel 6.1`.
        missing: why it can't be used, or None.
    """

    description: str
    missing: MachineError | None = None


class Verdict(NamedTuple):
    """How faithfully an engine does impairments; each attribute is a reason or None.

    Attributes:
        impossible: why it can't do them at all.
        inexact: why it does them only approximately.
        unrepeatable: what differs between runs with the same seed.
    """

    impossible: str | None = None
    inexact: str | None = None
    unrepeatable: str | None = None


class Engine(Protocol):
    """Carries links of one lab.

    A link whose engine ends or fails passes nothing; it never becomes a perfect one. Methods that act on links raise
    LabError, or OSError if the kernel refuses a device.
    """

    @property
    def needs_single_packets(self) -> bool:
        """Whether senders must have their segmentation offloads off, because it takes a frame for a packet."""
        ...

    async def probe(self) -> EngineAvailability:
        """Test whether it works on this machine. It is called first, and leaves nothing behind."""
        ...

    def judge(self, impairments: Impairments, *, mtu: int) -> Verdict:
        """Return how faithfully it does impairments on this kernel, on a network with packets of `mtu` bytes."""
        ...

    async def prepare(self, links: int) -> None:
        """Start what takes time, so that `attach` can carry a number of links at once."""
        ...

    async def attach(self, links: Sequence[NewLink]) -> list[int]:
        """Carry a few links, all or none.

        Returns:
            The index of a device on the switch side for each: packets sent to it go through the link.
        """
        ...

    async def apply(self, link: str, impairments: Impairments) -> None:
        """Replace the impairments of a link as a whole, for later packets."""
        ...

    async def restart(self, links: Sequence[str], origin_ns: int | None = None) -> None:
        """Restart links, if the engine can: nothing in flight, counters at zero, random numbers as at first.

        Args:
            links: their names.
            origin_ns: time zero of their traces, ns of CLOCK_MONOTONIC; it may be in the future. None is now.
        """
        ...

    async def counters(self, links: Collection[str] | None = None) -> dict[str, Counters]:
        """Return the counters of every link, or of those of `links` that it carries."""
        ...

    def dead(self) -> dict[str, str]:
        """Return the links that pass nothing any more because their worker has ended, and how it ended."""
        ...

    async def detach(self, links: Sequence[str]) -> None:
        """Stop carrying links, and remove their devices. Packets in flight are dropped."""
        ...

    async def close(self) -> None:
        """Stop carrying all links, and remove their devices."""
        ...
