"""The class `Lab`: a plan that is up, with its nodes, links and workloads.

Modules that only some methods need (the file format, checks, results) are imported by these methods, so that commands
such as `exec` and `down` start fast.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Self, get_args

from testbed import arguments, engines, plan
from testbed.errors import LabError, TestbedError, no_such_lab
from testbed.lab import bringup, labs
from testbed.lab.handles import LinkHandle, NodeHandle, argv_of
from testbed.lab.measuring import MeasuringLab
from testbed.lab.observer import SILENT
from testbed.lab.resolving import resolve
from testbed.plan.members import current_plan

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from testbed.lab.observer import Observer
    from testbed.matching import Match
    from testbed.plan.model import Plan
    from testbed.runs import Run, TimelineRecord
    from testbed.topology import Topology


class Lab(MeasuringLab):
    """A lab that is up. Used as a context manager, it is taken down at the end."""

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
        """Bring a topology up. A lab of the same plan that is up already is used as it is.

        Args:
            source: a topology, a file, or the name of a topology that is shipped or in `topologies/`; or a plan, for
                which the other arguments are ignored.
            name: of the lab; by default the topology's.
            runtime: `auto`, `docker` or `netns`; by default the file's.
            engine: `auto`, `netem` or `userspace`; by default the file's.
            seed: of all random numbers; by default the file's.
            observer: receives the progress.

        Raises:
            UsageError: the file is wrong.
            MachineError: this machine lacks something.
            LabError: a step failed, and what was done is undone.
        """
        from testbed import topology  # noqa: PLC0415 (see above)

        wanted, loaded = source, None
        if not isinstance(wanted, plan.Plan):
            arguments.one_of(runtime, "runtime", get_args(topology.models.Runtime))
            arguments.one_of(engine, "engine", engines.CHOICES)
            if seed is not None:
                arguments.whole(seed, "seed", least=0, most=topology.models.MOST_SEED)
            loaded = wanted if isinstance(wanted, topology.Topology) else topology.load(topology.find(str(wanted)))
            wanted = resolve(loaded, lab=name, runtime=runtime, engine=engine, seed=seed)
        try:
            made, chosen, was_up = bringup.bring_up(wanted, observer)
        except TestbedError as error:
            if loaded and error.path:
                error.place = topology.place_of(loaded, error.path)
            raise
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
        """Bring up the lab of a run again: the same plan, on the same runtime and engines.

        Allocated subnets may differ, which does not change the plan's digest.

        Args:
            run: any run; its topology file is not needed.
            name: of the lab; by default the run's.
            runtime: `auto`, `docker` or `netns`; by default the run's.
            engine: `auto`, `netem` or `userspace`, for all links; by default each link's in the run.
            observer: receives the progress.

        Raises:
            MachineError: this machine lacks something, such as an engine or the runtime.
            LabError: `lab-exists`; a step failed, and what was done is undone.
        """
        wanted = replace(
            run.plan, lab=name or run.plan.lab, runtime=runtime or run.runtime, directory=str(Path.cwd())
        )  # the file's directory need not be on this machine
        engines = {link.key: engine or link.engine for link in run.engines}
        made, chosen, was_up = bringup.bring_up(wanted, observer, engines)
        if was_up:
            raise LabError(
                "lab-exists",
                f"a lab {wanted.lab} is up already, and its links may have been changed",
                f"testbed down {wanted.lab} takes it down; --name brings this one up beside it",
            )
        return cls(made, chosen, was_up=False)

    @classmethod
    def attach(cls, name: str) -> Self:
        """Return the lab of that name, which another process has brought up.

        Raises:
            UsageError: `no-such-lab`.
            LabError: `lab-incomplete`, `agent-gone`.
        """
        runtime = labs.find(name)
        if runtime is None:
            raise no_such_lab(name)
        held = current_plan(runtime.connect(name))
        if held is None:
            raise LabError(
                "lab-incomplete", f"lab {name} was never brought up completely", f"testbed down {name} removes it"
            )
        return cls(held, runtime, was_up=True)

    def down(self, observer: Observer = SILENT) -> None:
        """Take the lab down, whatever its state. Repeating it does nothing.

        Args:
            observer: receives a message on Ctrl-C.

        Raises:
            KeyboardInterrupt: Ctrl-C was pressed meanwhile. The lab is down nevertheless.
        """
        with labs.uninterrupted(observer):
            labs.take_down(self.name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.down()

    def __getitem__(self, node: str) -> NodeHandle:
        """Return the node of that name.

        Raises:
            UsageError: `unknown-node`.
        """
        return NodeHandle(self.name, self.plan.known(node), self._runtime, self.bring_about)

    def __repr__(self) -> str:
        return f"<lab {self.name}: {self.runtime}, nodes {', '.join(self)}>"

    def _repr_html_(self) -> str:
        """The nodes and the links with their impairments and counts, for a notebook; just its name if it is down."""
        from testbed.html_tables import html_table  # noqa: PLC0415  # only notebooks need it

        try:
            statistics = self.statistics()
        except LabError:
            return html_table(f"lab {self.name}: it is not up any more", (), [])
        nodes = [(node, ", ".join(self[node].addresses.values())) for node in self]
        links = [
            (str(link.key), link.impairments.describe(), link.counts.packets_in, link.counts.packets_out)
            for link in statistics
        ]
        title = repr(self).strip("<>")
        return html_table(title, ("node", "addresses"), nodes) + html_table(
            "links", ("link", "impairments", "packets in", "packets out"), links
        )

    def node(self, name: str) -> NodeHandle:
        """Return the node of that name; the same as `lab[name]`.

        Raises:
            UsageError: `unknown-node`.
        """
        return self[name]

    @property
    def nodes(self) -> tuple[NodeHandle, ...]:
        """All nodes, in the order of the file."""
        return tuple(self[name] for name in self)

    @property
    def links(self) -> tuple[LinkHandle, ...]:
        """The links that the file impairs, at first or by its timeline, in its order; `link` returns any other."""
        return tuple(LinkHandle(self.plan, self.agent, link) for link in self.plan.links)

    def bring_about(self, node: str, kind: str, value: object, lasting: str | None = None) -> tuple[str, ...]:
        """Bring a fault of a node, or of each member of a group, about, and return what happened.

        Args:
            node: the name.
            kind: the key of the fault in a timeline: `pause`.
            value: of that key: `True`, or how long it lasts (`"3s"`); it is over then.
            lasting: the value of `for` beside it, for faults that have it (`cpus`, `clock`, `dns`, `disk`).

        Raises:
            UsageError: `unknown-node`, `unknown-fault`; the value is wrong.
            LabError: `contradicting-fault`, the state of the node forbids it; the node can't be controlled.
            MachineError: `not-controlled`, the processes of the node are not the lab's.
        """
        from testbed.lab import faulting  # noqa: PLC0415 (see above)

        return faulting.bring_about(self, node, kind, value, lasting)

    def members(self, group: str) -> tuple[NodeHandle, ...]:
        """Return the nodes of a group, or the one node of that name.

        Raises:
            UsageError: `unknown-node`.
        """
        return tuple(self[node] for node in self.plan.members(group))

    def link(
        self,
        source: str,
        destination: str,
        network: str | None = None,
        *,
        match: str | Mapping[str, object] | Match | None = None,
    ) -> LinkHandle:
        """Return one direction between two nodes, impaired or not.

        Args:
            source: a node; `*` for the downlink of the destination.
            destination: a node; `*` for the uplink of the source.
            network: the network, if the nodes share several.
            match: only these packets, as in a topology file: `{"protocol": "udp", "port": 53}`, or in one line,
                `protocol=udp,port=53`, or that of a link's key. Links with a match that the file does not have come
                after those of the file.

        Raises:
            UsageError: a node is unknown, or the nodes share no network, or several of which none is given; the match
                is wrong.
        """
        from testbed.plan import changes  # noqa: PLC0415 (see above)

        selected = None if match is None else changes.read_match(match)
        return LinkHandle(self.plan, self.agent, changes.locate(self.plan, source, destination, network, selected))

    @contextmanager
    def partition(self, *groups: Sequence[str]) -> Iterator[None]:
        """Let no packet pass between groups of nodes for the time of a context.

        with lab.partition(["client"], ["server", "db"]):
            ...

        Args:
            groups: names of nodes, or of groups of nodes; nodes in none of them are not affected.

        Raises:
            UsageError: `unknown-node`; `bad-partition`: there are less than two groups, or a node is in two of them.
            LabError: the links could not be changed.
        """
        from testbed.lab import changing  # noqa: PLC0415 (see above)

        with changing.partitioned(self.plan, self.agent, groups):
            yield

    def restore(self) -> None:
        """Undo all faults of nodes and all changes of links since the lab came up, so that it is as its file says.

        Raises:
            LabError: a node does not run again, or the links could not be changed.
        """
        from testbed.lab import changing  # noqa: PLC0415 (see above)

        changing.restore(self.plan, self.agent)

    def play(self, source: Topology | Path | str, *, observer: Observer = SILENT) -> tuple[TimelineRecord, ...]:
        """Carry out the timeline of a topology file, without its workloads, and leave the lab as it was before.

        Args:
            source: a topology, or a file; its nodes are nodes of the lab.
            observer: receives the events.

        Returns:
            When each event was due, and when it happened.

        Raises:
            UsageError: the file is wrong; `lab-differs`.
            LabError: an event could not be carried out.
        """
        from testbed import topology  # noqa: PLC0415 (see above)
        from testbed.lab import faulting  # noqa: PLC0415 (see above)

        loaded = source if isinstance(source, topology.Topology) else topology.load(topology.find(str(source)))
        return faulting.play(self, resolve(loaded, lab=self.name), observer)

    def logs(self, node: str, *, follow: bool = False) -> Iterator[bytes]:
        """Yield the output of a node's own command (or image) so far, in pieces; with `follow`, until it ends.

        Raises:
            UsageError: `unknown-node`.
        """
        return self._runtime.logs(self.name, node, follow=follow)

    def interact(self, node: str, argv: Sequence[str], *, tty: bool) -> int:
        """Run a command in a node on this process's own standard streams and return its exit status."""
        return self._runtime.attach(self.name, self.plan.known(node).name, argv_of(argv), tty=tty)
