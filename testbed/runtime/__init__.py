"""Runtimes, which make nodes: the protocol that both implement, and their list."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from types import MappingProxyType
from typing import IO, TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from ipaddress import IPv4Network

    from testbed.agent.client import Agent
    from testbed.plan.model import Plan
    from testbed.present import Present
    from testbed.services import ComposeProject

Progress = Callable[[str], None]
"""Receives a short description of each step of a bring-up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Availability:
    """Whether a runtime can be used here.

    Attributes:
        usable: whether it can be used.
        description: `Docker Engine 28.2` or `namespaces of an ordinary user`.
        reason: why it can't be used; empty if it can.
        hint: what to install or enable; empty if there is nothing to do.
    """

    usable: bool
    description: str
    reason: str = ""
    hint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabStatus:
    """The state of a lab, or of the remains of one.

    Attributes:
        lab: its name.
        runtime: `docker` or `netns`.
        nodes: name of a node to its state in one word (`running`, `exited`, ...).
        healthy: whether the agent answers and has the plan, and every node runs.
        problem: why the lab is not healthy, in words.
        changing: what a running command does to it, `coming up (pid 12, since 14:03:11)`; empty if there is none.
        notes: further remarks, in words.
    """

    lab: str
    runtime: str
    nodes: Mapping[str, str]
    healthy: bool
    problem: str = ""
    changing: str = ""
    notes: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed:
    """The result of a command in a node: its exit status and output."""

    status: int
    stdout: str
    stderr: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedProject:
    """A compose project as its files have it.

    Attributes:
        present: what will be there when it is up.
        fingerprint: SHA-256 (hex) of what its services are.
    """

    present: Present
    fingerprint: str


class Program(Protocol):
    """A command that runs in a node. `stop` and `kill` do nothing on one that has ended."""

    @property
    def stderr(self) -> str:
        """Its standard error output so far; complete when the program has ended."""
        ...

    def __iter__(self) -> Iterator[str]:
        """Yield the lines of its standard output until it ends.

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
        """Wait until it ends, and return its exit status as a shell gives it."""
        ...


class Runtime(Protocol):
    """Makes, finds and removes nodes and networks.

    Implementations keep no state of a lab in memory: they find everything by labels (docker) or by the agent's socket
    (netns), so that any process can use or remove a lab that another process made.
    """

    name: str

    @property
    def description(self) -> str:
        """The runtime with its version, in words, without testing whether it works.

        Raises:
            MachineError: the runtime can't be reached.
        """
        ...

    def probe(self) -> Availability:
        """Test whether labs can be brought up here; a machine that can't is no error."""
        ...

    def require(self, plan: Plan) -> None:
        """Require that every node of the plan can be made here; pull images that are missing.

        Raises:
            MachineError: a node needs something that this runtime lacks; the hint says how to get it.
        """
        ...

    def discover(self, names: Sequence[str] = (), hosts: Mapping[str, str] = MappingProxyType({})) -> Present:
        """Return the containers or network namespaces that exist already, whichever program made them.

        Args:
            names: of network namespaces: names, pids or paths; without any, all containers are returned.
            hosts: addresses of Docker Engines by machine, where there are several.

        Raises:
            MachineError: this runtime has none, or can't be reached.
        """
        ...

    def expect(self, project: ComposeProject, present: Present) -> ExpectedProject:
        """Return the containers and networks of a compose project that is still to be brought up.

        Args:
            project: its files.
            present: what is there already.

        Raises:
            MachineError: this runtime has no containers, or the machine no Docker Compose.
            UsageError: `compose-file-refused`.
        """
        ...

    def own_project(self) -> str:
        """Return the compose project of the container that this process runs in.

        Raises:
            MachineError: this runtime has no containers.
            UsageError: `no-project`: it runs in none.
        """
        ...

    def taken(self, *, leads_out: bool = True) -> list[IPv4Network]:
        """Return the subnets that a new lab must not use; `leads_out` is whether one of its networks does."""
        ...

    def up(self, plan: Plan, progress: Progress) -> Plan:
        """Make networks and nodes, start the agent and register the nodes with it. The lab makes the links.

        Returns:
            The plan, with the addresses that nodes were given on networks that were there before.

        Raises:
            MachineError: this machine lacks something.
            LabError: a step failed. What was made so far remains; the caller takes it down.
        """
        ...

    def start_project(self, plan: Plan, progress: Progress) -> Plan:
        """Start the containers of the plan's compose project, which `up` has created, and wait until they are healthy.

        Returns:
            The plan, with the addresses that they were given.

        Raises:
            LabError: as `up`.
        """
        ...

    def down(self, lab: str) -> bool:
        """Remove the lab, whatever its state; return False if there was none. Safe to repeat."""
        ...

    def labs(self) -> list[LabStatus]:
        """Return all labs of this runtime, including broken ones."""
        ...

    def holds(self, lab: str) -> bool:
        """Return whether there is a lab of that name, of any user and whatever its state; no agent is asked."""
        ...

    def moment(self, lab: str) -> str:
        """Return the present time in a form that `require_running` takes."""
        ...

    def require_running(self, lab: str, *, since: str = "", may_fail: Collection[str] = ()) -> Mapping[str, str]:
        """Require that every node runs, and was not paused since a `moment`.

        Args:
            lab: its name.
            since: the moment.
            may_fail: the nodes whose programs may have ended.

        Returns:
            How each of these that has ended did so, `status 3`.

        Raises:
            LabError: `node-exited`, with its exit status and the last lines that it wrote; `node-paused`.
        """
        ...

    def logs(self, lab: str, node: str, *, follow: bool = False) -> Iterator[bytes]:
        """Yield the output of the node's own command (or image) so far; with `follow`, until it ends.

        Raises:
            LabError: `no-such-lab`.
            UsageError: `unknown-node`.
        """
        ...

    def images(self, lab: str) -> Mapping[str, str]:
        """Return, for each image that the lab's nodes use, its digest in a registry, or else its id."""
        ...

    def visiting(self, lab: str, names: Sequence[str]) -> AbstractContextManager[Agent]:
        """Return a context with an agent whose nodes are containers or namespaces that are there already.

        The agent knows none of their ports and changes nothing; it ends with the context.

        Args:
            lab: a name under which the agent is found meanwhile.
            names: of containers (docker); names, pids or paths of network namespaces (netns).

        Raises:
            UsageError: one of them is not there, or does not run.
            MachineError: this machine lacks something.
        """
        ...

    def connect(self, lab: str) -> Agent:
        """Return a connection to the lab's agent.

        Raises:
            UsageError: `no-such-lab`.
            LabError: `agent-gone`: there are nodes, but no agent answers.
        """
        ...

    def run(
        self, lab: str, node: str, argv: Sequence[str], *, stdin: bytes = b"", timeout: float | None = None
    ) -> Completed:
        """Run a command in a node and collect its output.

        Raises:
            UsageError: `unknown-node`.
            LabError: `command-timeout`: the command did not end within `timeout` seconds and was killed.
        """
        ...

    def start(self, lab: str, node: str, argv: Sequence[str]) -> Program:
        """Start a command in a node, without input, and return at once.

        Raises:
            UsageError: `unknown-node`, `command-not-found`, `command-refused`; the latter two perhaps only when the
                program's lines are read.
        """
        ...

    def put(self, lab: str, node: str, archive: IO[bytes]) -> None:
        """Unpack a tar archive, an open file, at a node's root directory; directories that are missing are made.

        Raises:
            UsageError: `unknown-node`.
            LabError: `copy-failed`.
        """
        ...

    def get(self, lab: str, node: str, path: str) -> IO[bytes]:
        """Return a tar archive of a file or directory of a node; its members begin with the last part of the path.

        It is a temporary file, which goes when it is closed.

        Raises:
            UsageError: `unknown-node`.
            LabError: `copy-failed`.
        """
        ...

    def attach(self, lab: str, node: str, argv: Sequence[str], *, tty: bool) -> int:
        """Run a command in a node on this process's own standard streams and return its exit status.

        With `tty`, the command gets a terminal of its own whose size follows the caller's.
        """
        ...


BACKENDS: Mapping[str, tuple[str, str]] = {
    "docker": ("testbed.runtime.docker", "DockerRuntime"),
    "netns": ("testbed.runtime.netns", "NetnsRuntime"),
    "swarm": ("testbed.runtime.swarm", "SwarmRuntime"),
}
"""The module and class of each runtime; imported only when used."""

OF_THIS_MACHINE = ("docker", "netns")
"""The runtimes whose nodes are all on this machine, in the order in which `auto` tries them."""


def load(name: str) -> Runtime:
    """Return the runtime of that name, one of `BACKENDS`."""
    module, attribute = BACKENDS[name]
    runtime: Runtime = getattr(import_module(module), attribute)()
    return runtime
