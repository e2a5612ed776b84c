"""Faults that set something of a node, which lasts until another one sets it: CPU time, clock, names, disks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

from testbed import units
from testbed.faults.base import NodeFault

if TYPE_CHECKING:
    from collections.abc import Container

ALL_NAMES = "*"
"""In place of a name, all that have no fault of their own."""

_BITS = 8


class SettingPlace(NamedTuple):
    """What a setting sets: of two settings with the same place, the later one replaces the earlier one.

    Attributes:
        what: CPU time, clock, name, ...
        node: of which node.
        subject: which of several: the name, the path.
    """

    what: str
    node: str
    subject: str


class _Undoable(Protocol):
    """What each setting has besides its base, for the type checker."""

    @property
    def neutral(self) -> object:
        """The setting that undoes it, and all others with its place."""


class Setting(NodeFault, frozen=True, kw_only=True):
    """Base of the faults that last until another one replaces them."""

    @property
    def place(self) -> SettingPlace:
        """What it sets."""
        return SettingPlace(self.kind, self.node, "")

    @property
    def is_neutral(self: _Undoable) -> bool:
        """Whether it sets what the node has without faults."""
        return self == self.neutral


class Throttle(Setting, frozen=True, kw_only=True):
    """The processes of the node get less CPU time, or more.

    Attributes:
        cpus_milli: in thousandths of a core; 0 is what the node has without faults.
    """

    cpus_milli: int = 0

    @property
    def neutral(self) -> Throttle:
        """The node has the CPU time that it had at first."""
        return Throttle(node=self.node)

    def __str__(self) -> str:
        return f"{self.node}: {f'{self.cpus_milli / 1000:g} CPUs' if self.cpus_milli else 'CPUs as before'}"


class SetClock(Setting, frozen=True, kw_only=True):
    """The clock of the node's programs is wrong from then on: CLOCK_REALTIME, and no other.

    Attributes:
        offset_ns: how far it is ahead at once; negative is behind.
        drift_ppb: how much more in each second, ns.
    """

    offset_ns: int = 0
    drift_ppb: int = 0

    @property
    def neutral(self) -> SetClock:
        """The clock is right."""
        return SetClock(node=self.node)

    def __str__(self) -> str:
        ahead = units.DURATION.format(abs(self.offset_ns)) + (" behind" if self.offset_ns < 0 else " ahead")
        parts = [ahead] * bool(self.offset_ns) + [f"drifts by {self.drift_ppb / 1000:g} ppm"] * bool(self.drift_ppb)
        return f"{self.node}: clock {', '.join(parts) or 'right'}"


class NameFault(Setting, frozen=True, kw_only=True):
    """Base of what can be wrong with a name that programs of the node look up.

    Attributes:
        name: without a dot at its end; `*` is all names that have no fault of their own.
    """

    name: str

    @property
    def place(self) -> SettingPlace:
        """The name, whatever is wrong with it."""
        return SettingPlace("name", self.node, self.name.lower())

    @property
    def neutral(self) -> NameWorks:
        """The name leads to where it led before."""
        return NameWorks(node=self.node, name=self.name)

    @property
    def _subject(self) -> str:
        return f"{self.node}: {'all names' if self.name == ALL_NAMES else f'name {self.name}'}"


class NameFails(NameFault, frozen=True, kw_only=True):
    """The name can't be looked up.

    Attributes:
        how: `nxdomain`, there is no such name; `servfail`, the name server has failed; `timeout`, nothing answers.
    """

    how: Literal["nxdomain", "servfail", "timeout"]

    def __str__(self) -> str:
        how = "no answer" if self.how == "timeout" else self.how.upper()
        return f"{self._subject} {'fail' if self.name == ALL_NAMES else 'fails'} ({how})"


class NameSlow(NameFault, frozen=True, kw_only=True):
    """The name is looked up as before, later.

    Attributes:
        delay_ns: by how much.
    """

    delay_ns: int

    def __str__(self) -> str:
        return f"{self._subject} slow by {units.DURATION.format(self.delay_ns)}"


class NameLies(NameFault, frozen=True, kw_only=True):
    """The name leads elsewhere.

    Attributes:
        answers: addresses, and names of nodes, which stand for the addresses of these.
    """

    answers: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self._subject} {'lead' if self.name == ALL_NAMES else 'leads'} to {', '.join(self.answers)}"


class NameWorks(NameFault, frozen=True, kw_only=True):
    """The name leads to where it led before."""

    def __str__(self) -> str:
        return f"{self._subject} as before"


class FillDisk(Setting, frozen=True, kw_only=True):
    """The file system at a path is full: it takes no more than what is in it, until something there is deleted.

    Attributes:
        path: in the node.
        full: False is as without faults.
    """

    path: str
    full: bool = False

    @property
    def place(self) -> SettingPlace:
        """How full the file system there is."""
        return SettingPlace(self.kind, self.node, self.path)

    @property
    def neutral(self) -> FillDisk:
        """It has as much room as before."""
        return FillDisk(node=self.node, path=self.path)

    def __str__(self) -> str:
        return f"{self.node}: disk {self.path} {'full' if self.full else 'as large as before'}"


class SlowDisk(Setting, frozen=True, kw_only=True):
    """The processes of the node read and write the disk below a path slowly.

    Attributes:
        path: in the node.
        bytes_per_s: each, of reading and of writing; 0 is as without faults.
    """

    path: str
    bytes_per_s: int = 0

    @property
    def place(self) -> SettingPlace:
        """How fast the disk there is."""
        return SettingPlace(self.kind, self.node, self.path)

    @property
    def neutral(self) -> SlowDisk:
        """It is as fast as before."""
        return SlowDisk(node=self.node, path=self.path)

    def __str__(self) -> str:
        rate = units.RATE.format(self.bytes_per_s * _BITS) if self.bytes_per_s else "as fast as before"
        return f"{self.node}: disk {self.path} {rate}"


AnySetting = Throttle | SetClock | NameFails | NameSlow | NameLies | NameWorks | FillDisk | SlowDisk


class InForce:
    """The settings that nodes have and would not have without faults."""

    def __init__(self) -> None:
        self._settings: dict[SettingPlace, AnySetting] = {}

    def note(self, setting: AnySetting) -> None:
        """Note that a node has a setting now."""
        self._settings.pop(setting.place, None)
        if not setting.is_neutral:
            self._settings[setting.place] = setting

    @property
    def nodes(self) -> frozenset[str]:
        """The nodes that have any."""
        return frozenset(place.node for place in self._settings)

    def of(self, nodes: Container[str]) -> tuple[AnySetting, ...]:
        """Return the settings of nodes, in the order in which they came."""
        return tuple(setting for setting in self._settings.values() if setting.node in nodes)

    def undoing(self, nodes: Container[str] | None = None) -> tuple[AnySetting, ...]:
        """Return what undoes all settings of nodes, or of all nodes."""
        return tuple(setting.neutral for setting in self.of(self.nodes if nodes is None else nodes))
