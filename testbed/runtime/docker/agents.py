"""A lab's agent beside containers: a process of ours where that can be, else a container of our image."""

from __future__ import annotations

import io
import tarfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from docker.errors import APIError, NotFound
from tenacity import RetryError, Retrying, retry_if_result, stop_after_delay, wait_fixed

import testbed
from testbed import logs
from testbed.agent import messages, protocol
from testbed.agent.client import Agent, gone
from testbed.errors import LabError, TestbedError, UsageError
from testbed.runtime import local_agent
from testbed.runtime.docker import objects
from testbed.runtime.docker.engine import patiently, refusals
from testbed.runtime.docker.execution import STDOUT, Execution

if TYPE_CHECKING:
    from collections.abc import Sequence

    from testbed.plan.model import Plan
    from testbed.runtime.docker.engine import DockerEngine

_RUNTIME = "docker"
_SOCKET = "/run/testbed/agent.sock"
_CODE = "/run/testbed/code"
_ENVIRONMENT = {"PYTHONPATH": _CODE}
_START_SECONDS = 30
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
        """Let `recv` raise TimeoutError when nothing comes for so long."""
        self._seconds = seconds

    def recv(self, _size: int, /) -> bytes:
        """The next bytes from the agent; none at the end of the stream."""
        if self._seconds is not None and not self._execution.comes_within(self._seconds):
            raise TimeoutError(f"nothing came within {self._seconds:g} s")
        try:
            return next((data for stream, data in self._output if stream == STDOUT), b"")
        except LabError:
            return b""


def start(engine: DockerEngine, plan: Plan) -> Agent:
    """Start the agent of a lab and wait until it answers.

    Raises:
        TestbedError: the one with which the agent ended; `agent-failed` where it says nothing.
    """
    if engine.hosts_agent:
        return local_agent.start(_RUNTIME, plan.lab, isolate=False)
    limited = any(node.cpus_milli or node.memory_bytes for node in plan.nodes)
    command = ["--lab", plan.lab, "--socket", _SOCKET, *["--debug"] * logs.debugging()]
    # No node is called so: a node's name has no dot.
    container = _create(
        engine, plan.lab, command, objects.OWN_IMAGE, name=f"testbed-{plan.lab}.agent", limits_nodes=limited
    )
    with refusals("agent"):
        patiently(engine.api.start, container)
    attempts = Retrying(
        retry=retry_if_result(lambda listens: listens is None),
        wait=wait_fixed(0.05),
        stop=stop_after_delay(_START_SECONDS),
    )
    try:
        listens = attempts(_listens, engine, container)
    except RetryError:
        listens = False
    if not listens:
        raise _why(engine.log_tail(container))
    return Agent(lambda: _Channel(engine, container))


def _listens(engine: DockerEngine, container: str) -> bool | None:
    """Whether the agent's socket is there; None while it may still come. `docker exec` is too dear to ask so often."""
    with refusals("agent"):
        try:
            stream, _ = engine.api.get_archive(container, _SOCKET)
        except NotFound:
            running = engine.api.inspect_container(container)["State"]["Running"]
            return None if running else False
        for _ in stream:
            pass  # of a socket there is nothing but a header; the connection is free again once it is read
    return True


def connect(engine: DockerEngine, lab: str) -> Agent:
    """The agent of a lab, in a container or not.

    Raises:
        UsageError: `no-such-lab`.
        LabError: `agent-gone`.
    """
    if container := _container(engine, lab):
        if container["State"] != "running":
            raise gone()
        return Agent(lambda: _Channel(engine, container["Id"]))
    try:
        return local_agent.connect(_RUNTIME, lab)
    except UsageError:  # no such lab, as far as its directory tells
        if engine.containers(lab=lab) or engine.networks(lab=lab):
            raise gone() from None
        raise


def end(engine: DockerEngine, lab: str) -> bool:
    """End the agent, which takes its devices with it, and remove those that a killed one left.

    Returns:
        Whether the lab had been brought up completely.
    """
    container = _container(engine, lab)
    try:
        agent = connect(engine, lab)
        complete = agent.hello().plan is not None
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
                local_agent.sweep(lab)
        return False
    return complete


def _container(engine: DockerEngine, lab: str) -> dict[str, Any] | None:
    return next(iter(engine.containers(lab=lab, agent=None)), None)


def _sweep(engine: DockerEngine, lab: str, agent: dict[str, Any]) -> None:
    """Have another container of the same image remove what the agent in a container left."""
    with suppress(APIError):
        engine.api.kill(agent["Id"])
    with refusals("sweep"):
        container = _create(engine, lab, ["--lab", lab, "--sweep"], agent["ImageID"], name=None, limits_nodes=False)
        patiently(engine.api.start, container)
        status = engine.api.wait(container)["StatusCode"]
    if status:
        raise _why(engine.log_tail(container))


def _create(
    engine: DockerEngine, lab: str, arguments: Sequence[str], image: str, *, name: str | None, limits_nodes: bool
) -> str:
    """Make a container in which the agent's program may do its work, with this package's code; its id."""
    api = engine.api
    with refusals("agent"):
        container: str = api.create_container(
            image,
            entrypoint=["python3", "-m", "testbed.agent"],
            command=list(arguments),
            name=name,
            user="root",
            working_dir="/",
            environment=_ENVIRONMENT,
            labels=objects.labels(lab, objects.AGENT, "1"),
            host_config=api.create_host_config(
                network_mode="host",
                pid_mode="host",
                cgroupns="host",
                init=True,
                cap_drop=["ALL"],
                cap_add=_CAPABILITIES,
                security_opt=["no-new-privileges"],
                binds=["/sys/fs/cgroup:/sys/fs/cgroup:rw"] if limits_nodes else [],
            ),
        )["Id"]
        api.put_archive(container, "/run", _package())
    return container


def _package() -> bytes:
    """This package as an archive of `testbed/` below /run: the agent's code is ours, however old the image is."""
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
    """The error with which the agent ended, of which it writes a line."""
    last = log.splitlines()[-1:] or ["nothing"]
    with suppress(ValueError):
        if error := protocol.error_of(protocol.decode(last[0].encode())):
            return error
    return LabError("agent-failed", f"the agent failed; it said: {log or 'nothing'}", "this is a bug: please report it")
