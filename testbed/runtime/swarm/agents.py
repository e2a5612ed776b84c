"""The agents of a lab on several machines as one: each call goes to the machine that it is about, or to all of them.

The nodes' clock is this machine's monotonic clock. Times that go to an agent, or come from one, are moved by what its
machine's clock is ahead, which is measured once per command and is known as exactly as `ClockOffset` says.
"""

from __future__ import annotations

import json
import threading
from functools import partial
from time import monotonic_ns
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from testbed.agent import messages
from testbed.agent.client import Agent, Apart, ClockOffset
from testbed.errors import MachineError, TestbedError
from testbed.records import moved
from testbed.runtime.swarm.conversations import Conversation, part_of
from testbed.runtime.swarm.machines import GOSSIP_PORT
from testbed.runtime.swarm.merged_reports import merged_attachments, merged_status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from testbed.agent.client_connection import ClientConnection
    from testbed.agent.messages import AgentStatus, AttachmentReport, Call
    from testbed.agent.remote_process import RemoteEndpoint, RemoteProcess
    from testbed.endpoint.spec import Spec
    from testbed.runtime.swarm.machines import Machine, Machines

Result = TypeVar("Result")

_CLOCK_READINGS = 20
"""The narrowest bounds of so many count: a question mostly takes a fraction of a millisecond, but not always."""

_ROUND_TRIPS = 10
"""Between two machines; the fastest counts."""

_QUESTIONS = 3

_OF_NODE = (
    messages.Accepts,
    messages.HttpStatus,
    messages.Look,
    messages.ProbeNat,
    messages.Reaches,
    messages.UdpBound,
)


class SpreadAgent(Agent):
    """The agents of a lab's machines. It may be shared by threads, as an `Agent`.

    Args:
        machines: of the lab.
        connect: returns the agent of a machine.
    """

    def __init__(self, machines: Machines, connect: Callable[[Machine], Agent]) -> None:
        self._machines = machines
        self._connect_to = connect
        self._agents: dict[str, Agent] = {}
        self._clocks: Mapping[str, ClockOffset] = {}
        self._distances: dict[frozenset[str], int | None] = {}
        self._measuring = threading.Lock()
        self._question_ns = 0
        self._answers: dict[type[Call[Any]], Callable[[Any], Any]] = {
            messages.Hello: lambda _: self.hello(),
            messages.Impair: self._impair,
            messages.RestartAllLinks: self._restart,
            messages.Statistics: self._statistics,
            messages.ReadAttachments: self._attachments,
            messages.ReadState: self._state,
            messages.Sockets: self._sockets,
            messages.NextHops: self._next_hops,
            messages.Remember: self._remember,
            messages.HealNodes: self._all,
            messages.BringAbout: self._bring_about,
            messages.Recall: self._recall,
        }

    def _agent(self, machine: Machine) -> Agent:
        if machine.name not in self._agents:
            self._agents[machine.name] = self._connect_to(machine)
        return self._agents[machine.name]

    def call(self, call: Call[Result]) -> Result:
        """See `Agent`.

        Raises:
            LabError: `machine-gone`.
            MachineError: `not-over-machines`.
        """
        if type(call) in _OF_NODE:
            machine = self._machines.of_node(call.node)  # type: ignore[attr-defined]  # these calls have one
            with machine.answering():
                return self._agent(machine).call(call)
        if type(call) not in self._answers:
            raise _refused(call)
        result: Result = self._answers[type(call)](call)
        return result

    def hello(self, within_s: float | None = None) -> AgentStatus:
        """See `Agent`."""
        return merged_status(self._of_each(lambda _, agent: agent.hello(within_s)))

    def endpoint(self, node: str, spec: Spec) -> RemoteEndpoint:
        """See `Agent`. The lines of the endpoint are moved to the nodes' clock, its start to the machine's."""
        machine = self._machines.of_node(node)
        with machine.answering():
            started = self._agent(machine).endpoint(node, spec)
        if ahead_ns := self._clock(machine).offset_ns:
            started.ahead_ns, started.translated = ahead_ns, partial(moved, by_ns=-ahead_ns)
        return started

    def capture(self, node: str, network: str, *, snap_bytes: int, size_bytes: int) -> RemoteProcess:
        """See `Agent`. Packets keep the wall clock of the node's machine; the record says how far that is ahead."""
        machine = self._machines.of_node(node)
        with machine.answering():
            started = self._agent(machine).capture(node, network, snap_bytes=snap_bytes, size_bytes=size_bytes)
        if ahead_ns := self._clock(machine).offset_ns:
            started.translated = partial(_capture_moved, by_ns=ahead_ns)
        return started

    def spawn(
        self,
        node: str,
        argv: Sequence[str],
        *,
        stdio: Sequence[int] = (),  # noqa: ARG002
        term: str | None = None,
    ) -> RemoteProcess:
        """Refuse: descriptors do not cross machines, and Docker Engines start commands themselves."""
        raise _refused(messages.Spawn(node=node, argv=tuple(argv), term=term))

    def begin(self, call: Call[Result]) -> ClientConnection:
        """See `Agent`. Runs are announced by the first machine's agent alone."""
        if isinstance(call, messages.AnnounceRun):
            machine, *_ = self._machines.used
            with machine.answering():
                return self._agent(machine).begin(call)
        ahead_ns = {machine.name: self._clock(machine).offset_ns for machine in self._machines.used}

        def begin(machine: Machine, agent: Agent) -> ClientConnection:
            if isinstance(call, messages.PlayTimeline):
                part = part_of(call, self._machines.nodes_of(machine), ahead_ns[machine.name])
                return agent.begin(part)
            return agent.begin(call)

        return Conversation(self._of_each(begin), ahead_ns)

    def clock(self, times: int = 1) -> ClockOffset:  # noqa: ARG002  # see `Agent`
        """The nodes' clock is this machine's."""
        return ClockOffset(0, 0)

    def compare_clocks(self) -> Mapping[str, ClockOffset]:
        """See `Agent`. Times are moved by what was found from then on."""
        begun_ns = monotonic_ns()
        self._distances.clear()
        self._clocks = self._of_each(lambda _, agent: agent.clock(_CLOCK_READINGS))
        self._question_ns = monotonic_ns() - begun_ns
        return self._clocks

    @property
    def lead_ns(self) -> int:
        """See `Agent`: a few times what the machines took to answer."""
        self._measure()
        return _QUESTIONS * self._question_ns

    def uncertain_ns(self, source: str, destination: str) -> int:
        """See `Agent`."""
        one, other = map(self._machines.of_node, (source, destination))
        return 0 if one is other else self._clock(one).uncertainty_ns + self._clock(other).uncertainty_ns

    def apart(self, source: str, destination: str) -> Apart | None:
        """See `Agent`. Half of the fastest round trip between them."""
        one, other = sorted(map(self._machines.of_node, (source, destination)), key=lambda machine: machine.name)
        if one is other or not other.knows_ipv4:
            return None
        names = frozenset((one.name, other.name))
        if names not in self._distances:
            call = messages.Distances(addresses=(other.ip,), port=GOSSIP_PORT, times=_ROUND_TRIPS)
            with one.answering():
                found = self._agent(one).call(call).get(other.ip)
            self._distances[names] = found.round_trip_ns if found else None
        round_trip_ns = self._distances[names]
        return Apart((one.name, other.name), round_trip_ns // 2) if round_trip_ns else None

    def _clock(self, machine: Machine) -> ClockOffset:
        self._measure()
        return self._clocks[machine.name]

    def _measure(self) -> None:
        with self._measuring:
            if not self._clocks:
                self.compare_clocks()

    def _of_each(
        self, work: Callable[[Machine, Agent], Result], machines: Iterable[Machine] | None = None
    ) -> dict[str, Result]:
        return self._machines.each(lambda machine: work(machine, self._agent(machine)), machines)

    def _all(self, call: Call[Any]) -> None:
        self._of_each(lambda _, agent: agent.call(call))

    def _remember(self, call: messages.Remember) -> None:
        def remember(machine: Machine, agent: Agent) -> None:
            own = self._machines.nodes_of(machine)
            containers = {node: name for node, name in call.containers.items() if node in own}
            agent.call(messages.Remember(plan=call.plan, containers=containers))

        self._of_each(remember)

    def _by_machine(self, names: Iterable[str]) -> dict[Machine, list[int]]:
        """Return the places of names of nodes in their order, by the machine of the node."""
        found: dict[Machine, list[int]] = {}
        for place, name in enumerate(names):
            found.setdefault(self._machines.of_node(name), []).append(place)
        return found

    def _impair(self, call: messages.Impair) -> tuple[messages.ChosenEngine, ...]:
        """Give links their impairments, each on the machine of its receiver; the results are in the order asked for."""
        places = self._by_machine(link.key.place[0] for link in call.links)

        def impair(machine: Machine, agent: Agent) -> tuple[messages.ChosenEngine, ...]:
            return agent.call(messages.Impair(links=tuple(call.links[place] for place in places[machine])))

        done = self._of_each(impair, places)
        chosen = {
            place: engine
            for machine, at in places.items()
            for place, engine in zip(at, done[machine.name], strict=True)
        }
        return tuple(chosen[place] for place in range(len(call.links)))

    def _restart(self, call: messages.RestartAllLinks) -> None:
        def restart(machine: Machine, agent: Agent) -> None:
            origin_ns = None if call.origin_ns is None else call.origin_ns + self._clock(machine).offset_ns
            agent.call(messages.RestartAllLinks(origin_ns=origin_ns))

        self._of_each(restart)

    def _statistics(self, call: messages.Statistics) -> tuple[messages.LinkStatistics, ...]:
        found = self._of_each(lambda _, agent: agent.call(call))
        return tuple(each for links in found.values() for each in links)

    def _attachments(self, call: messages.ReadAttachments) -> AttachmentReport:
        found = self._of_each(lambda machine, agent: self._moved(machine, agent.call(call)))
        return merged_attachments(found.values())

    def _moved(self, machine: Machine, report: AttachmentReport) -> AttachmentReport:
        """Return a report with the times of its incidents by the nodes' clock."""
        if not report.incidents:
            return report
        ahead_ns = self._clock(machine).offset_ns
        incidents = tuple(msgspec.structs.replace(each, at_ns=each.at_ns - ahead_ns) for each in report.incidents)
        return msgspec.structs.replace(report, incidents=incidents)

    def _state(self, call: messages.ReadState) -> messages.LabState:
        found = self._of_each(lambda machine, agent: (self._clock(machine).offset_ns, agent.call(call)))
        return messages.LabState(
            at_ns=max(state.at_ns - ahead_ns for ahead_ns, state in found.values()),
            status=merged_status({name: state.status for name, (_, state) in found.items()}),
            links=tuple(link for _, state in found.values() for link in state.links),
            attachments=merged_attachments(
                self._moved(self._machines.by_name[name], state.attachments) for name, (_, state) in found.items()
            ),
        )

    def _sockets(self, call: messages.Sockets) -> dict[str, messages.NodeSockets]:
        places = self._by_machine(call.nodes)

        def sockets(machine: Machine, agent: Agent) -> dict[str, messages.NodeSockets]:
            found = agent.call(messages.Sockets(nodes=tuple(call.nodes[place] for place in places[machine])))
            ahead_ns = self._clock(machine).offset_ns
            return {name: msgspec.structs.replace(each, at_ns=each.at_ns - ahead_ns) for name, each in found.items()}

        found = self._of_each(sockets, places)
        return {name: each for part in found.values() for name, each in part.items()}

    def _next_hops(self, call: messages.NextHops) -> Mapping[str, Any]:
        names = [*call.nodes]
        places = self._by_machine(names)

        def next_hops(machine: Machine, agent: Agent) -> Mapping[str, Any]:
            return agent.call(
                messages.NextHops(nodes={names[place]: call.nodes[names[place]] for place in places[machine]})
            )

        found = self._of_each(next_hops, places)
        return {name: hops for part in found.values() for name, hops in part.items()}

    def _bring_about(self, call: messages.BringAbout) -> messages.Happened:
        places = self._by_machine(fault.node for fault in call.faults)

        def bring_about(machine: Machine, agent: Agent) -> messages.Happened:
            done = agent.call(messages.BringAbout(faults=tuple(call.faults[place] for place in places[machine])))
            ahead_ns = self._clock(machine).offset_ns
            return messages.Happened(begun_ns=done.begun_ns - ahead_ns, done_ns=done.done_ns - ahead_ns)

        found = self._of_each(bring_about, places).values()
        return messages.Happened(
            begun_ns=min(each.begun_ns for each in found), done_ns=max(each.done_ns for each in found)
        )

    def _recall(self, call: messages.Recall) -> Mapping[str, object] | None:
        """Return the plan, which every agent has, from the first machine that answers."""
        *others, last = self._machines.used
        for machine in others:
            try:
                with machine.answering():
                    return self._agent(machine).call(call)
            except TestbedError as error:
                if error.code not in ("machine-gone", "machine-unreachable"):
                    raise
        with last.answering():
            return self._agent(last).call(call)


def _capture_moved(line: str, *, by_ns: int) -> str:
    """Return a line of a capturing process with the wall clock's offset from another monotonic clock."""
    if "clock_offset_ns" not in line:
        return line
    message = json.loads(line)
    message["event"]["clock_offset_ns"] += by_ns
    return json.dumps(message)


def _refused(call: Call[Any]) -> MachineError:
    name = call.call_name()
    return MachineError(
        "not-over-machines",
        f"a lab on several machines can't do this ({name}): it is carried out by the agent of one machine",
        "leave hosts out of the file to have all nodes on one machine",
    )
