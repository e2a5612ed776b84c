"""What nodes are made of: the contract that both runtimes keep, and the one place that lists them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Protocol

from testbed.errors import LabError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from ipaddress import IPv4Network

    from testbed.agent.client import Agent
    from testbed.plan.model import Plan

_LAST_LINES = 10

NODE_SYSCTLS = {
    "net.ipv4.ip_forward": "0",
    **{
        f"net.ipv4.conf.{scope}.{name}": "0"
        for name in ("rp_filter", "arp_ignore", "arp_announce")
        for scope in ("all", "default")
    },
}
"""Settings of every node unless the plan has others: the kernel's own defaults. A new network namespace takes these
after the first one of the machine (net/ipv4/devinet.c, `devinet_init_net`), where distributions and the Docker Engine
change them; the others of its kind decide nothing of unicast traffic between nodes. What it takes after it beside them
are buffer sizes of TCP, which follow the machine's memory, and
congestion control, which workloads choose themselves."""

Progress = Callable[[str], None]
"""Told, in a few words, what step of a bring-up is under way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Availability:
    """Whether a runtime can be used here.

    Attributes:
        usable: whether it can.
        description: what was found, `Docker Engine 28.2` or `namespaces of an ordinary user`.
        reason: why it can't be used; empty where it can.
        hint: what to install or enable; empty where nothing is to be done.
    """

    usable: bool
    description: str
    reason: str = ""
    hint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabStatus:
    """A lab, or what is left of one.

    Attributes:
        lab: its name.
        runtime: `docker` or `netns`.
        nodes: name of a node to its state in one word (`running`, `exited`, ...).
        healthy: the agent answers and holds the plan, every node runs.
        problem: what is wrong where it is not healthy, for people.
        changing: what a command is doing to it now, `coming up (pid 12, since 14:03:11)`; empty where none is.
        notes: what else there is to know, for people.
    """

    lab: str
    runtime: str
    nodes: Mapping[str, str]
    healthy: bool
    problem: str = ""
    changing: str = ""
    notes: Sequence[str] = ()


def exited(node: str, status: int, said: str) -> LabError:
    """The error of a node whose program has ended, with the last lines of its log."""
    lines = said.strip().splitlines()[-_LAST_LINES:]
    wrote = "\n".join(["; its last lines:", *(f"    {line}" for line in lines)]) if lines else " without a word"
    return LabError(
        "node-exited",
        f"node {node}: its program ended with status {status}{wrote}",
        "a node's program has to run for as long as the lab does",
    )


def paused(node: str, *, now: bool, remedy: str) -> LabError:
    """The error of a node that is paused, or was while something was measured; `remedy` continues it."""
    if now:
        return LabError("node-paused", f"node {node} is paused: its programs do not run", remedy)
    return LabError("node-paused", f"node {node} was paused meanwhile", "try again, and leave it running")


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed:
    """A command that ran in a node: its exit status and what it wrote."""

    status: int
    stdout: str
    stderr: str


class Program(Protocol):
    """A command that runs in a node. `stop` and `kill` do nothing on one that has ended."""

    @property
    def stderr(self) -> str:
        """What it has written to its standard error; whole when it has ended."""
        ...

    def __iter__(self) -> Iterator[str]:
        """The lines of its standard output, as they come, until it ends.

        Raises:
            UsageError: `command-not-found`, `command-refused`.
        """
        ...

    def stop(self) -> None:
        """Ask it to end (SIGTERM)."""
        ...

    def kill(self) -> None:
        """End it at once."""
        ...

    def wait(self) -> int:
        """Its exit status as a shell gives it, when it has ended."""
        ...


class Runtime(Protocol):
    """How nodes and networks are made, found and taken away.

    Implementations hold no state of a lab: everything is found by labels (docker) or by the agent's socket (netns),
    so that any process can use or remove a lab that another one made.
    """

    name: str

    @property
    def description(self) -> str:
        """What nodes are made of, for people, told without trying whether it works.

        Raises:
            MachineError: not even that can be told.
        """
        ...

    def probe(self) -> Availability:
        """Try, for real, whether labs can be brought up here; never raises for a machine that can't."""
        ...

    def require(self, plan: Plan) -> None:
        """Make sure that every node of the plan can be made here; images that are missing are fetched.

        Raises:
            MachineError: a node asks for something that this runtime lacks and can't get; the hint says how to get it.
        """
        ...

    def taken(self) -> list[IPv4Network]:
        """The subnets that a new lab must keep clear of."""
        ...

    def up(self, plan: Plan, progress: Progress) -> None:
        """Make networks and nodes, start the agent and have it know the nodes. The lab makes the links.

        Raises:
            MachineError: something that is needed is not here.
            LabError: a step failed. What was made so far is still there; the caller takes it down.
        """
        ...

    def down(self, lab: str) -> bool:
        """Remove everything of the lab, whatever state it is in; False where there was nothing. Safe to repeat."""
        ...

    def labs(self) -> list[LabStatus]:
        """All labs of this runtime that can be found, broken ones too."""
        ...

    def moment(self, lab: str) -> str:
        """The present moment, for `require_running`."""
        ...

    def require_running(self, lab: str, *, since: str = "") -> None:
        """Make sure that every node runs, and was not paused since a `moment`.

        Raises:
            LabError: `node-exited`, with its exit status and the last lines that it wrote; `node-paused`.
        """
        ...

    def logs(self, lab: str, node: str, *, follow: bool = False) -> Iterator[bytes]:
        """What the node's own command (or image) has written so far; with `follow`, until it ends.

        Raises:
            LabError: `no-such-lab`.
            UsageError: `no-such-node`.
        """
        ...

    def images(self, lab: str) -> Mapping[str, str]:
        """Of each image that nodes of the lab are made of, what it is: its digest in a registry, or else its id."""
        ...

    def connect(self, lab: str) -> Agent:
        """A connection to the lab's agent.

        Raises:
            UsageError: `no-such-lab`.
            LabError: `agent-gone` where nodes are there but no agent answers.
        """
        ...

    def run(
        self, lab: str, node: str, argv: Sequence[str], *, stdin: bytes = b"", timeout: float | None = None
    ) -> Completed:
        """Run a command in a node and collect what it writes.

        Raises:
            UsageError: `no-such-node`.
            LabError: `command-timeout` after `timeout` seconds, the command being killed.
        """
        ...

    def start(self, lab: str, node: str, argv: Sequence[str]) -> Program:
        """Start a command in a node, without any input, and go on.

        Raises:
            UsageError: `no-such-node`, `command-not-found`, `command-refused`; if not here, then from its lines.
        """
        ...

    def attach(self, lab: str, node: str, argv: Sequence[str], *, tty: bool) -> int:
        """Run a command in a node on this process's own standard streams; its exit status.

        With `tty`, on a terminal of its own whose size follows the caller's.
        """
        ...


BACKENDS: Mapping[str, tuple[str, str]] = {
    "docker": ("testbed.runtime.docker", "DockerRuntime"),
    "netns": ("testbed.runtime.netns", "NetnsRuntime"),
}
"""Name of a runtime to module and class, in the order in which `auto` tries them; imported only when used."""


def load(name: str) -> Runtime:
    """The runtime of that name, one of `BACKENDS`."""
    module, attribute = BACKENDS[name]
    runtime: Runtime = getattr(import_module(module), attribute)()
    return runtime
