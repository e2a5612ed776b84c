"""The agent of a lab of containers: a local process if possible, otherwise a container of the testbed's image."""

from __future__ import annotations

import io
import logging
import tarfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from docker.errors import APIError, NotFound
from docker.types import Mount
from tenacity import RetryError, Retrying, retry_if_result, wait_fixed

import testbed
from testbed import logs
from testbed.agent import journal, messages, protocol
from testbed.agent.client import HURRIED_SECONDS, Agent
from testbed.agent.client_connection import gone
from testbed.errors import LabError, TestbedError, UsageError
from testbed.runtime import local_agent
from testbed.runtime.docker import objects
from testbed.runtime.docker.engine import patiently, refusals
from testbed.runtime.docker.execution import STDOUT, Execution

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from testbed.agent.journal import PutBack
    from testbed.runtime.docker.engine import DockerEngine

_log = logging.getLogger(__name__)

_RUNTIME = "docker"
_SOCKET = "/run/testbed/agent.sock"
_CODE = "/run/testbed/code"
_JOURNAL = "/run/testbed/agent.journal"
_ENVIRONMENT = {"PYTHONPATH": _CODE}
SANDBOXES = "/run/docker/netns"
"""Where an agent in a container has the network namespaces of containers and overlay networks."""

_NO_SUCH_PATH = ("bind source path does not exist", "no such file or directory")
"""In what the Docker Engine, and what podman, says of a path to share that its machine does not have."""

_END_SECONDS = 10

_CAPABILITIES = [
    "NET_ADMIN",  # devices, queueing disciplines and filters
    "NET_RAW",  # AF_PACKET
    "SYS_ADMIN",  # setns, unshare
    "SYS_PTRACE",  # /proc/PID/ns of other users' processes
    "KILL",  # commands that run as another user
]


class _Channel:
    """The streams of `docker exec` as a connection to the agent in the container."""

    def __init__(self, engine: DockerEngine, container: str) -> None:
        command = ["python3", "-m", "testbed.agent.relay", _SOCKET]
        try:
            self._execution = Execution(engine, container, command, stdin=True, environment=_ENVIRONMENT)
        except LabError:
            raise gone() from None
        self._output = self._execution.output()
        self.sendall = self._execution.sendall
        self.close = self._execution.close
        self._seconds: float | None = None

    def settimeout(self, seconds: float | None, /) -> None:
        """Make `recv` raise TimeoutError if nothing arrives for that many seconds."""
        self._seconds = seconds

    def recv(self, _size: int, /) -> bytes:
        """Return the next bytes from the agent; empty at the end of the stream."""
        if self._seconds is not None and not self._execution.comes_within(self._seconds):
            raise TimeoutError(f"nothing came within {self._seconds:g} s")
        try:
            return next((data for stream, data in self._output if stream == STDOUT), b"")
        except LabError:
            return b""


def start(engine: DockerEngine, lab: str, *, limits_nodes: bool = False, sandboxes: str = "") -> Agent:
    """Start the agent of a lab and wait until it answers.

    An agent in a container has the Docker Engine's socket, to learn which container is a node that was made anew, and
    a guardian. That is in a container of its own, because the Docker Engine kills all processes of one at once.

    Args:
        engine: which runs the containers.
        lab: its name.
        limits_nodes: some nodes have limits, so what the agent starts in them must be in their cgroups.
        sandboxes: the directory of the Docker Engine's machine where the network namespaces of its overlay networks
            are; empty for a lab without such networks. With it the agent is a container in any case.

    Raises:
        TestbedError: the error with which the agent ended; `agent-failed` if it reported none.
    """
    if engine.hosts_agent and not sandboxes:
        return local_agent.start(_RUNTIME, lab, isolate=False, docker_engine=engine.unix_socket)
    container = _create_agent(engine, lab, limits_nodes=limits_nodes, sandboxes=sandboxes)
    with refusals("agent"):
        patiently(engine.api.start, container)
    patience = local_agent.Patience()
    attempts = Retrying(
        retry=retry_if_result(lambda listens: listens is None),
        wait=wait_fixed(0.05),
        stop=lambda _: patience.ends(),
    )
    with ThreadPoolExecutor(1) as background:
        guarding = background.submit(_guard, engine, lab, container, sandboxes)
        try:
            listens = attempts(_listens, engine, container)
        except RetryError:
            listens = False
    if not listens:
        raise _why(engine.log_tail(container))
    guarding.result()
    return Agent(lambda: _Channel(engine, container))


def _create_agent(engine: DockerEngine, lab: str, *, limits_nodes: bool, sandboxes: str) -> str:
    """Create the agent's container, with the Docker Engine's socket if its machine has it at one of the usual paths.

    Whether there is one is the Docker Engine's to say: its machine may be another than this.
    """
    command = ["--lab", lab, "--socket", _SOCKET, "--journal", _JOURNAL, "--unguarded"]
    command += ["--debug"] * logs.debugging()
    shared = {"/sys/fs/cgroup"} if limits_nodes else set()
    # No node has such a name, because names of nodes contain no dot.
    create = partial(_create, engine, lab, name=f"testbed-{lab}.agent", sandboxes=sandboxes)
    for path in engine.sockets:
        try:
            return create([*command, "--docker-engine", path], shared={*shared, path})
        except LabError as error:
            if not any(words in error.message for words in _NO_SUCH_PATH):
                raise
    _log.warning("the Docker Engine has no socket at %s: nodes made anew stay cut off", " or ".join(engine.sockets))
    return create(command, shared=shared)


def _guard(engine: DockerEngine, lab: str, agent: str, sandboxes: str) -> None:
    """Start the guardian of an agent in a container.

    It sees the pids of the Docker Engine's machine, and watches the first process of the agent's container.
    """
    with refusals("guardian"):
        found = engine.api.inspect_container(agent)
        pid = found["State"]["Pid"]
    if not pid:
        return  # it has ended, and says why itself
    command = ["--lab", lab, "--guard", str(pid), "--journal", f"/proc/{pid}/root{_JOURNAL}"]
    name = f"testbed-{lab}.guardian"
    shared = _sockets(engine, found)
    container = _create(engine, lab, command, kind=objects.GUARDIAN, name=name, shared=shared, sandboxes=sandboxes)
    with refusals("guardian"):
        patiently(engine.api.start, container)


def aftermath(engine: DockerEngine, lab: str) -> PutBack | None:
    """Return what was put back after the agent of a lab was killed; None where nothing was, so far."""
    if container := _container(engine, lab):
        with suppress(APIError):
            archived, _ = engine.api.get_archive(container["Id"], _JOURNAL)
            with tarfile.open(fileobj=io.BytesIO(b"".join(archived))) as archive:
                (entry,) = archive
                if file := archive.extractfile(entry):
                    return journal.outcome(journal.read(file.read()))
        return None
    return local_agent.aftermath(_RUNTIME, lab)


def _sockets(engine: DockerEngine, agent: Mapping[str, Any]) -> set[str]:
    """Return the sockets of the Docker Engine that the container of an agent has: what ends its pauses needs them."""
    return {mount["Source"] for mount in agent["Mounts"]} & set(engine.sockets)


def _listens(engine: DockerEngine, container: str) -> bool | None:
    """Return whether the agent's socket exists; None while it may still appear. Polling by `docker exec` is slow."""
    with refusals("agent"):
        try:
            stream, _ = engine.api.get_archive(container, _SOCKET)
        except NotFound:
            running = engine.api.inspect_container(container)["State"]["Running"]
            return None if running else False
        for _ in stream:
            pass  # the archive of a socket is only a header; reading it frees the connection
    return True


def connect(engine: DockerEngine, lab: str, within_s: float | None = None) -> Agent:
    """Connect to the agent of a lab, whether it is in a container or not.

    Args:
        engine: the Docker Engine.
        lab: its name.
        within_s: how long an agent that is a process may be silent, see `Agent.hello`.

    Raises:
        UsageError: `no-such-lab`.
        LabError: `agent-gone`.
    """
    if container := _container(engine, lab):
        if container["State"] != "running":
            raise gone()
        return Agent(lambda: _Channel(engine, container["Id"]))
    try:
        return local_agent.connect(_RUNTIME, lab, within_s)
    except UsageError:  # this user has no directory of the lab
        if engine.containers(lab=lab) or engine.networks(lab=lab):
            raise gone() from None
        raise


def end(engine: DockerEngine, lab: str) -> bool:
    """End the agent, which removes its devices; if it was killed, remove the devices that it left.

    Returns:
        Whether the lab had been brought up completely.
    """
    container = _container(engine, lab)
    try:
        agent = connect(engine, lab, HURRIED_SECONDS)
        complete = agent.hello(HURRIED_SECONDS).is_up
        if container:
            agent.call(messages.Shutdown())
            engine.api.wait(container["Id"], timeout=_END_SECONDS)
        else:
            local_agent.stop(_RUNTIME, lab)
    except (TestbedError, APIError, OSError):
        if container:
            _sweep(engine, lab, container)
        else:
            local_agent.stop(_RUNTIME, lab)
            if engine.hosts_agent:
                local_agent.sweep(_RUNTIME, lab)
        return False
    return complete


def _container(engine: DockerEngine, lab: str) -> dict[str, Any] | None:
    return next(iter(engine.containers(lab=lab, agent=None)), None)


def _sweep(engine: DockerEngine, lab: str, agent: dict[str, Any]) -> None:
    """Undo what the agent in a container left, by another container of the same image."""
    with suppress(APIError):
        engine.api.kill(agent["Id"])
    with refusals("sweep"):
        command = ["--lab", lab, "--sweep", "--journal", _JOURNAL]
        container = _create(engine, lab, command, image=agent["ImageID"], shared=_sockets(engine, agent))
        with suppress(NotFound):
            archived, _ = engine.api.get_archive(agent["Id"], _JOURNAL)
            engine.api.put_archive(container, str(Path(_JOURNAL).parent), b"".join(archived))
        patiently(engine.api.start, container)
        status = engine.api.wait(container)["StatusCode"]
    if status:
        raise _why(engine.log_tail(container))


def _create(
    engine: DockerEngine,
    lab: str,
    arguments: Sequence[str],
    *,
    image: str = objects.OWN_IMAGE,
    kind: str = objects.AGENT,
    name: str | None = None,
    shared: Iterable[str] = (),
    sandboxes: str = "",
) -> str:
    """Create a container with the agent's privileges and this package's code, and return its id.

    Args:
        engine: which makes it.
        lab: whose it is.
        arguments: of the agent's program.
        image: the agent's.
        kind: the label by which it is found.
        name: its own.
        shared: paths of the Docker Engine's machine that it has too.
        sandboxes: see `start`; the container has the directory where `namespaces.known_networks` looks.
    """
    api = engine.api
    mounts = [Mount(path, path, type="bind") for path in sorted(shared)]
    if sandboxes:
        mounts.append(Mount(SANDBOXES, sandboxes, type="bind", read_only=True))
    with refusals("agent"):
        container: str = api.create_container(
            image,
            entrypoint=["python3", "-m", "testbed.agent"],
            command=list(arguments),
            name=name,
            user="root",
            working_dir="/",
            environment=_ENVIRONMENT,
            labels=objects.labels(lab, kind, "1"),
            host_config=api.create_host_config(
                network_mode="host",
                pid_mode="host",
                cgroupns="host",
                init=not engine.is_podman,  # podman refuses it beside pid_mode="host"; orphans go to the machine's init
                cap_drop=["ALL"],
                cap_add=_CAPABILITIES,
                security_opt=["no-new-privileges"],
                mounts=mounts,
            )
            | {"ReadonlyPaths": []},  # /proc/sys among them by default, where IPv6 is switched on in nodes
        )["Id"]
        api.put_archive(container, "/run", _package())
    return container


def _package() -> bytes:
    """Return an archive of this package for /run, so that the agent has this version's code whatever the image's is."""
    source = Path(testbed.__file__).parent
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        directory = tarfile.TarInfo("testbed")
        directory.type, directory.mode = tarfile.DIRTYPE, 0o700
        tar.addfile(directory)
        for path in sorted(source.rglob("*.py")):
            tar.add(path, f"testbed/code/testbed/{path.relative_to(source)}", filter=_by_root)
    return archive.getvalue()


def _by_root(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = "root"
    entry.mode = 0o644
    return entry


def _why(log: str) -> TestbedError:
    """Return the error with which the agent ended, from the last line of its log."""
    last = log.splitlines()[-1:] or ["nothing"]
    with suppress(ValueError):
        if error := protocol.error_of(protocol.decode(last[0].encode())):
            return error
    return LabError("agent-failed", f"the agent failed; it said: {log or 'nothing'}", "this is a bug: please report it")
