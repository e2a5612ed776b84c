"""A plan that is up: its nodes, its links, its workloads.

What few commands need (the format, checks, results) is imported by the methods that need it: to enter a node or to go
takes none of it.
"""

from __future__ import annotations

import functools
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, get_args

from testbed import arguments, engines, plan
from testbed.agent import messages
from testbed.agent.capture import SIZE_BYTES, SNAP_BYTES
from testbed.errors import LabError, no_such_lab
from testbed.lab import bringup
from testbed.lab.handles import LinkHandle, NodeHandle, words
from testbed.lab.observer import SILENT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from testbed.agent.client import Endpoint
    from testbed.agent.messages import AttachmentReport, LinkStatistics, NodeSockets
    from testbed.check import LinkCheck
    from testbed.lab.capturing import Capturing
    from testbed.lab.nodes import NodeWatch
    from testbed.lab.observer import Observer
    from testbed.plan.model import Plan
    from testbed.runs import Run
    from testbed.runtime import Program, Runtime
    from testbed.topology import Topology
    from testbed.workloads.summary import Summary


class Lab:
    """A lab that is up. As a context, it is taken down at the end."""

    def __init__(self, plan: Plan, runtime: Runtime, *, was_up: bool) -> None:
        self.plan = plan
        self.was_up = was_up
        self._runtime = runtime
        self.agent = runtime.connect(plan.lab)

    @classmethod
    def up(
        cls,
        source: Plan | Topology | Path | str,
        *,
        name: str | None = None,
        runtime: str | None = None,
        engine: str | None = None,
        seed: int | None = None,
        observer: Observer = SILENT,
    ) -> Self:
        """Bring a topology up; nothing changes where it is up already.

        Args:
            source: a topology, a file, or the name of a topology that is shipped or in `topologies/`; or a plan, which
                has all that the other arguments say.
            name: of the lab; the topology's unless given.
            runtime: `auto`, `docker` or `netns`; the file's unless given.
            engine: `auto`, `netem` or `userspace`; the file's unless given.
            seed: of all that is random; the file's unless given.
            observer: hears of the progress.

        Raises:
            UsageError: the file is wrong.
            MachineError: this machine lacks something.
            LabError: a step failed, and what was done is undone.
        """
        from testbed import topology  # noqa: PLC0415 (see above)

        wanted = source
        if not isinstance(wanted, plan.Plan):
            arguments.one_of(runtime, "runtime", get_args(topology.models.Runtime))
            arguments.one_of(engine, "engine", engines.CHOICES)
            if seed is not None:
                arguments.whole(seed, "seed", least=0, most=topology.models.MOST_SEED)
            loaded = wanted if isinstance(wanted, topology.Topology) else topology.load(topology.find(str(wanted)))
            wanted = plan.resolve(loaded, lab=name, runtime=runtime, engine=engine, seed=seed)
        made, chosen, was_up = bringup.bring_up(wanted, observer)
        return cls(made, chosen, was_up=was_up)

    @classmethod
    def up_again(
        cls,
        run: Run,
        *,
        name: str | None = None,
        runtime: str | None = None,
        engine: str | None = None,
        observer: Observer = SILENT,
    ) -> Self:
        """Bring the lab of a run up anew, from what the run knows: the same plan, on the same runtime and engines.

        Allocated subnets may be others, which changes nothing of what the plan asks for.

        Args:
            run: any; no topology file is needed.
            name: of the lab; the run's unless given.
            runtime: `auto`, `docker` or `netns`; the run's unless given.
            engine: `auto`, `netem` or `userspace`, of all links; of each what the run had unless given.
            observer: hears of the progress.

        Raises:
            MachineError: this machine lacks something, an engine or the runtime perhaps.
            LabError: `lab-exists`; a step failed, and what was done is undone.
        """
        wanted = replace(
            run.plan, lab=name or run.plan.lab, runtime=runtime or run.runtime, directory=str(Path.cwd())
        )  # the file's directory need not be on this machine
        engines = {each.ends: engine or each.engine for each in run.engines}
        made, chosen, was_up = bringup.bring_up(wanted, observer, engines)
        if was_up:
            raise LabError(
                "lab-exists",
                f"a lab {wanted.lab} is up, and may have been changed since",
                f"testbed down {wanted.lab} takes it down; --name brings this one up beside it",
            )
        return cls(made, chosen, was_up=False)

    @classmethod
    def attach(cls, name: str) -> Self:
        """The lab of that name, which another process has brought up.

        Raises:
            UsageError: `no-such-lab`.
            LabError: `lab-incomplete`, `agent-gone`.
        """
        runtime = bringup.find(name)
        if runtime is None:
            raise no_such_lab(name)
        held = runtime.connect(name).hello().plan
        if held is None:
            raise LabError("lab-incomplete", f"lab {name} was left half-way", f"testbed down {name} removes it")
        return cls(plan.Plan.from_json(held), runtime, was_up=True)

    @property
    def name(self) -> str:
        """The lab's name."""
        return self.plan.lab

    @property
    def runtime(self) -> str:
        """`docker` or `netns`."""
        return self._runtime.name

    def down(self, observer: Observer = SILENT) -> None:
        """Take the lab down, whatever state it is in; safe to repeat.

        Args:
            observer: hears of Ctrl-C when it comes.

        Raises:
            KeyboardInterrupt: Ctrl-C came meanwhile. The lab is down all the same.
        """
        with bringup.uninterrupted(observer):
            bringup.take_down(self.name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.down()

    def __getitem__(self, node: str) -> NodeHandle:
        """A node by its name.

        Raises:
            UsageError: `unknown-node`.
        """
        return NodeHandle(self.name, self.plan.known(node).name, self._runtime)

    def __iter__(self) -> Iterator[str]:
        """The names of the nodes, which `in` asks for too."""
        return (node.name for node in self.plan.nodes)

    def link(self, source: str, destination: str, network: str | None = None) -> LinkHandle:
        """One direction between two nodes, impaired or not.

        Raises:
            UsageError: there are no such nodes, they share no network, or several and none is given.
        """
        from testbed.plan import changes  # noqa: PLC0415 (see above)

        return LinkHandle(self.plan, self.agent, changes.locate(self.plan, source, destination, network))

    def now_ns(self) -> int:
        """The time of the nodes' monotonic clock; see `testbed.workloads.nodes.Nodes`."""
        return time.monotonic_ns() + self._clock_offset_ns

    @functools.cached_property
    def _clock_offset_ns(self) -> int:
        return self.agent.clock_offset_ns()

    def endpoint(self, node: str, spec: Mapping[str, Any]) -> Endpoint:
        """Start the endpoint program in a node; see `testbed.workloads.nodes.Nodes`."""
        return self.agent.endpoint(node, spec)

    def program(self, node: str, argv: Sequence[str]) -> Program:
        """Start a command in a node; see `testbed.workloads.nodes.Nodes`."""
        return self._runtime.start(self.name, self.plan.known(node).name, words(argv))

    def statistics(self) -> tuple[LinkStatistics, ...]:
        """What became of the packets of each impaired link, as its engine counts."""
        return self.agent.call(messages.Statistics())

    def attachments(self) -> AttachmentReport:
        """How the nodes are attached to their networks, and what happened to that."""
        return self.agent.call(messages.Attachments())

    def require_nodes(self) -> AttachmentReport:
        """Make sure that all nodes run and are on their networks; what `attachments` says.

        Raises:
            LabError: `lab-damaged`, with what is missing.
        """
        found = self.attachments()
        if found.problems:
            raise LabError(
                "lab-damaged",
                "; ".join(found.problems),
                f"start what is stopped, or bring it up anew: testbed down {self.name}",
            )
        return found

    def sockets(self, *nodes: str) -> Mapping[str, NodeSockets]:
        """The TCP connections of nodes, or of all of them, by node.

        Raises:
            MachineError: `no-inet-diag`: the kernel can't tell.
            UsageError: `unknown-node`.
        """
        names = tuple(self.plan.known(node).name for node in nodes or self)
        return self.agent.call(messages.Sockets(nodes=names))

    def versions(self) -> dict[str, str]:
        """What the nodes are made of, with its version, for the record of a run."""
        return {self.runtime: self._runtime.description}

    def images(self) -> Mapping[str, str]:
        """Of each image that the nodes are made of, what it is, for the record of a run."""
        return self._runtime.images(self.name)

    def check(
        self, *, deep: bool = False, budget_s: float | None = None, observer: Observer = SILENT
    ) -> tuple[LinkCheck, ...]:
        """Measure every link that is impaired and compare it with what is set now, by the file or by changes since.

        Args:
            deep: take longer and see more, such as the depth of queues.
            budget_s: how long it may take, seconds: 20 unless given, 300 if deep. Links that this leaves no time for
                are not measured, and say so; one of each kind comes first.
            observer: hears of the progress.
        """
        from testbed.lab import running  # noqa: PLC0415 (see above)

        return running.check_links(self, observer, deep=deep, budget_s=budget_s)

    def run_workload(self, name: str) -> Summary:
        """Carry out one workload of the file and summarise it; nothing is kept on disk.

        Raises:
            UsageError: there is no workload of that name.
            LabError: it failed.
        """
        from testbed.lab import running  # noqa: PLC0415 (see above)

        return running.run_one(self, name)

    def run(
        self,
        results: Path = Path("results"),
        *,
        only: Sequence[str] = (),
        capture: Sequence[str] = (),
        check: bool = True,
        check_budget_s: float | None = None,
        observer: Observer = SILENT,
    ) -> Run:
        """Check the links, carry out the workloads and leave a run on disk.

        Args:
            results: the directory that runs go to, `results/LAB/TIME-ID`.
            only: names of workloads; all of them unless given.
            capture: names of nodes where packets are captured, besides those of the file; `all` is every node.
            check: measure the links first; a run without is not trusted.
            check_budget_s: how long that may take, see `check`.
            observer: hears of the progress.

        Raises:
            UsageError: there is no workload or node of that name.
            LabError: a workload or a capture failed; the run is on disk, marked incomplete.
        """
        from testbed.lab import running  # noqa: PLC0415 (see above)

        return running.run(
            self,
            arguments.path(results, "results"),
            only=arguments.texts(only, "only"),
            capture=arguments.texts(capture, "capture"),
            checked=check,
            budget_s=check_budget_s,
            observer=observer,
        )

    def capture(
        self,
        node: str,
        file: Path,
        *,
        network: str | None = None,
        snap_bytes: int = SNAP_BYTES,
        size_bytes: int = SIZE_BYTES,
    ) -> Capturing:
        """Capture packets at a node while a context lasts: `with lab.capture("client", Path("client.pcap")): ...`.

        Args:
            node: its name.
            file: where they go, as pcap.
            network: where the node is on several.
            snap_bytes: what is kept of a packet.
            size_bytes: what the packets may take meanwhile; the newest are kept.

        Raises:
            UsageError: there is no such node or network.
        """
        from testbed.lab import capturing  # noqa: PLC0415 (see above)

        file = arguments.path(file, "file")
        arguments.whole(snap_bytes, "snap_bytes", least=1, most=1 << 16)
        arguments.whole(size_bytes, "size_bytes", least=1, most=1 << 63)
        port = capturing.find_port(self.plan, node, network)
        return capturing.Capturing(self.agent, {port: file}, snap_bytes=snap_bytes, size_bytes=size_bytes)

    def watch_nodes(self) -> NodeWatch:
        """A context that makes sure that the nodes' programs run for as long as it lasts."""
        from testbed.lab.nodes import NodeWatch  # noqa: PLC0415 (see above)

        return NodeWatch(self._runtime, self.name)

    def logs(self, node: str, *, follow: bool = False) -> Iterator[bytes]:
        """What a node's own command (or image) has written so far, in pieces; with `follow`, until it ends.

        Raises:
            UsageError: `no-such-node`.
        """
        return self._runtime.logs(self.name, node, follow=follow)

    def log_ends(self) -> Iterator[tuple[str, bytes]]:
        """The nodes that have written something, and the end of it, as a run keeps it; see `logs`."""
        from testbed.lab.nodes import logs_of  # noqa: PLC0415 (see above)

        return logs_of(self._runtime, self.plan)

    def interact(self, node: str, argv: Sequence[str], *, tty: bool) -> int:
        """Run a command in a node on this process's own standard streams; its exit status."""
        return self._runtime.attach(self.name, self.plan.known(node).name, words(argv), tty=tty)
