"""What an engine has to do, and what it gets to do it with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from testbed.engines.counters import Counters
    from testbed.errors import MachineError
    from testbed.impairments import Impairments


class Device(Protocol):
    """A network device."""

    @property
    def index(self) -> int:
        """Its number in its namespace."""
        ...

    @property
    def mac(self) -> str:
        """Its address."""
        ...


class Pair(NamedTuple):
    """A veth pair: on the switch side, and in the agent's own namespace."""

    near: Device
    far: Device


class Devices(Protocol):
    """Makes the devices of links, which are then known as the lab's and are up. All raise OSError, the kernel's."""

    def make_ifbs(self, wanted: Mapping[str, int], /) -> Sequence[Device]:
        """Make ifb devices on the switch side; `wanted` is the MTU of each, by its link's name."""
        ...

    def make_pairs(self, wanted: Mapping[str, int], /) -> Sequence[Pair]:
        """Make veth pairs without offloads; `wanted` is the MTU of each, by its link's name."""
        ...

    def delete(self, indexes: Iterable[int], /) -> None:
        """Remove devices of the switch side, each of which may have gone already."""
        ...


class Switch(NamedTuple):
    """Where an engine works.

    Attributes:
        namespace: file descriptor of the network namespace of the switch side, where ports are.
        home: that of the agent's own network namespace, which ends with the agent.
        devices: makes devices in both.
    """

    namespace: int
    home: int
    devices: Devices


class NewLink(NamedTuple):
    """A link to carry.

    Attributes:
        name: by which the engine knows it from then on.
        impairments: what it does to packets, which `Engine.judge` found possible.
        seed: of all that is random, 64 bits.
        port: index of the receiver's port on the switch side, where packets leave the link.
        mtu: bytes of an IP packet on the link's network.
    """

    name: str
    impairments: Impairments
    seed: int
    port: int
    mtu: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Availability:
    """Whether an engine works on this machine.

    Attributes:
        description: what it works with, in a few words.
        missing: why it can't be used, or None where it can.
    """

    description: str
    missing: MachineError | None = None


class Verdict(NamedTuple):
    """What an engine makes of impairments; of each attribute the reason, or None where there is nothing to say.

    Attributes:
        impossible: what it can't do at all.
        inexact: what it does, but not to the letter.
        unrepeatable: what differs from run to run in spite of a seed.
    """

    impossible: str | None = None
    inexact: str | None = None
    unrepeatable: str | None = None


class Engine(Protocol):
    """Carries links of one lab.

    A link whose engine ends or fails passes nothing; it never becomes a perfect one. All that acts on links raises
    LabError, or OSError where the kernel refuses a device.
    """

    @property
    def needs_single_packets(self) -> bool:
        """Whether senders must have their segmentation offloads off, because it takes a frame for a packet."""
        ...

    async def probe(self) -> Availability:
        """Find out, by trying, whether it works here. Comes first, and leaves nothing behind."""
        ...

    def judge(self, impairments: Impairments, *, mtu: int) -> Verdict:
        """What it makes of impairments on a network with packets of `mtu` bytes, as far as this kernel can do it."""
        ...

    async def attach(self, links: Sequence[NewLink]) -> list[int]:
        """Carry a few links, all or none.

        Returns:
            Of each the index of a device on the switch side: what is sent to it goes through the link.
        """
        ...

    async def apply(self, link: str, impairments: Impairments) -> None:
        """Give a link other impairments, as a whole, for packets that come from then on."""
        ...

    async def restart(self, link: str) -> None:
        """Begin a link anew: nothing in flight, nothing counted, random numbers as at first, where the engine can."""
        ...

    async def counters(self) -> dict[str, Counters]:
        """The counters of every link."""
        ...

    def dead(self) -> dict[str, str]:
        """The links that pass nothing any more because what carried them has ended, and how that was."""
        ...

    async def detach(self, links: Sequence[str]) -> None:
        """Carry links no more, and remove their devices. Packets in flight are dropped."""
        ...

    async def close(self) -> None:
        """Carry nothing any more, and remove all devices of links."""
        ...
