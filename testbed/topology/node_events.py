"""Events of the timeline that happen to nodes, each with the fault that it is."""

import difflib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from signal import SIGKILL, Signals
from types import MappingProxyType
from typing import Annotated, ClassVar, Literal

from testbed import faults, units
from testbed.topology.base import key
from testbed.topology.clock_values import ClockValue
from testbed.topology.event_times import Timed
from testbed.topology.problems import quote
from testbed.topology.setting_values import DiskValue, DnsValue
from testbed.topology.values import Cpus, Name, Reader, SomeDuration, fault, text_of, wrong_type

_ALIKE = 0.7
"""How alike a signal is that a hint suggests: of `server`, none is meant."""

_HINT = "write true, or how long it lasts: 3s; `node:` names the node"


@dataclass(frozen=True, slots=True)
class Lasting:
    """How long a fault lasts.

    Attributes:
        ns: until it ends by itself; None if another event, or the end of the run, ends it.
        signal: of a kill.
    """

    ns: int | None = None
    signal: Signals = SIGKILL


def _lasting(value: object) -> Lasting:
    if value is True:
        return Lasting()
    if isinstance(value, bool | dict | list) or value is None:
        raise wrong_type(value, "true, or how long it lasts (3s)")
    try:
        ns = units.DURATION.parse(text_of(value, "how long it lasts"))
    except ValueError as error:
        raise fault(f"is wrong: {error}", _HINT) from None
    if not ns:
        raise fault("lasts no time", _HINT)
    return Lasting(ns)


def _kill(value: object) -> Lasting:
    if not isinstance(value, str) or not value[:1].isalpha():
        return _lasting(value)
    bare = value.upper().removeprefix("SIG")
    if (name := f"SIG{bare}") not in Signals.__members__:
        close = difflib.get_close_matches(bare, (each.name.removeprefix("SIG") for each in Signals), 1, _ALIKE)
        question = f"did you mean {quote(f'SIG{close[0]}')}? " if close else ""
        hint = f"{question}write true, a signal such as SIGTERM, or how long it lasts: 3s; `node:` names the node"
        raise fault(f"is {quote(value)}, which is not a signal", hint)
    return Lasting(signal=Signals[name])


_DURATIONS = {"type": "string", "pattern": units.DURATION.pattern, "examples": list(units.DURATION.examples)}
LastingValue = Annotated[Lasting, Reader(_lasting, {"anyOf": [{"const": True}, _DURATIONS]})]
KillValue = Annotated[Lasting, Reader(_kill, {"anyOf": [{"const": True}, {"type": "string", "examples": ["SIGTERM"]}]})]


class NodeEvent(Timed, ABC):
    """Base of the events that happen to nodes."""

    node: Name = key("The node, or a group of nodes", example="server")

    @abstractmethod
    def fault(self, node: str) -> faults.Fault:
        """Return what happens to a node."""


class LastingEvent(NodeEvent):
    """Base of those that another event ends, or that end by themselves."""

    KEY: ClassVar[str]
    """The key that says how long it lasts."""

    @property
    def lasting(self) -> Lasting:
        """How long it lasts."""
        found: Lasting = getattr(self, self.KEY)
        return found


class PauseEvent(LastingEvent):
    """Nothing in the node runs for a while."""

    KEY = "pause"

    pause: LastingValue = key("`true`, or for how long: all processes of the node stand still")

    def fault(self, node: str) -> faults.Fault:
        """Return what happens to a node."""
        return faults.Pause(node=node)


class UnpauseEvent(NodeEvent):
    """The processes of a paused node go on."""

    unpause: Literal[True] = key("`true`: the processes of the node go on")

    def fault(self, node: str) -> faults.Fault:
        """Return what happens to a node."""
        return faults.Unpause(node=node)


class StopEvent(LastingEvent):
    """A node is switched off as an administrator does it."""

    KEY = "stop"

    stop: LastingValue = key("`true`, or for how long: its program is asked to end, and the node is off")

    def fault(self, node: str) -> faults.Fault:
        """Return what happens to a node."""
        return faults.Stop(node=node)


class KillEvent(LastingEvent):
    """A node dies, or its program gets a signal."""

    KEY = "kill"

    kill: KillValue = key(
        "`true`, or for how long: all processes of the node are killed, and it is off. Or a signal for its program"
    )

    def fault(self, node: str) -> faults.Fault:
        """Return what happens to a node."""
        return faults.Kill(node=node, signal=self.kill.signal)


class StartEvent(NodeEvent):
    """A node that is off is switched on."""

    start: Literal[True] = key("`true`: the node is switched on again")

    def fault(self, node: str) -> faults.Fault:
        """Return what happens to a node."""
        return faults.Start(node=node)


class RestartEvent(NodeEvent):
    """A node is switched off and on."""

    restart: Literal[True] = key("`true`: the node's program is asked to end, and begins anew")

    def fault(self, node: str) -> faults.Fault:
        """Return what happens to a node."""
        return faults.Restart(node=node)


class SettingEvent(NodeEvent):
    """Base of those that set something until another event sets it, or for a time."""

    lasting_ns: SomeDuration | None = key(
        "How long this lasts, until it is as without faults; until another event unless given",
        alias="for",
        default=None,
    )


class CpusEvent(SettingEvent):
    """The node's processes get another share of the machine's CPU time."""

    cpus_milli: Cpus = key("How many cores the node has from then on, such as 0.1", alias="cpus")

    def fault(self, node: str) -> faults.Fault:
        """Return what happens to a node."""
        return faults.Throttle(node=node, cpus_milli=self.cpus_milli)


class ClockEvent(SettingEvent):
    """The clock of the node's programs is wrong."""

    clock: ClockValue = key(
        "How far it is ahead, and how much too fast it goes", example={"offset": "30s", "drift": "100ppm"}
    )

    def fault(self, node: str) -> faults.Fault:
        """Return what happens to a node."""
        return faults.SetClock(node=node, offset_ns=self.clock.offset_ns, drift_ppb=self.clock.drift_ppb)


class DnsEvent(SettingEvent):
    """A name that programs of the node look up fails, is slow, or leads elsewhere."""

    dns: DnsValue = key(
        "The name, and what is wrong with it: `{name: api, fails: servfail}`, `{name: api, slow: 2s}` or "
        "`{name: api, answer: 198.18.7.10}`; a name alone does not exist",
        example={"name": "api", "slow": "2s"},
    )

    def fault(self, node: str) -> faults.Fault:
        """Return what happens to a node."""
        return self.dns.fault(node)


class DiskEvent(SettingEvent):
    """A disk of the node is full, or slow."""

    disk: DiskValue = key(
        "Where, and what is wrong: `{path: /data, full: true}` or `{path: /data, rate: 80mbit}`; a path alone is full",
        example={"path": "/data", "full": True},
    )

    def fault(self, node: str) -> faults.Fault:
        """Return what happens to a node."""
        return self.disk.fault(node)


OfNode = (
    DnsEvent
    | DiskEvent
    | ClockEvent
    | CpusEvent
    | PauseEvent
    | UnpauseEvent
    | StopEvent
    | KillEvent
    | StartEvent
    | RestartEvent
)

NODE_EVENTS: Mapping[str, type[NodeEvent]] = MappingProxyType(
    {
        "pause": PauseEvent,
        "unpause": UnpauseEvent,
        "stop": StopEvent,
        "kill": KillEvent,
        "start": StartEvent,
        "restart": RestartEvent,
        "cpus": CpusEvent,
        "clock": ClockEvent,
        "dns": DnsEvent,
        "disk": DiskEvent,
    }
)
"""The events of nodes, by the key that tells each from the others."""
