"""The Docker Engine: the connection to it, what its errors mean, and whether it shares this machine with us."""

from __future__ import annotations

import logging
import os
import socket
import struct
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from docker import APIClient
from docker.errors import APIError, DockerException
from docker.utils import version_lt
from requests.exceptions import RequestException
from tenacity import Retrying, retry_if_exception, stop_after_attempt, stop_after_delay, wait_exponential

from testbed.errors import LabError, MachineError, TestbedError
from testbed.runtime.docker import endpoints, podman

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from tenacity import RetryCallState

    from testbed.runtime.docker.endpoints import DockerEndpoint

_log = logging.getLogger(__name__)

_OLDEST_API = "1.41"
_CALL_SECONDS = 120
_PATIENCE_SECONDS, _LEAST_TRIES = 20, 3
"""After both it gives up: one try may take as long, because the Docker Engine itself gives a Swarm 20 s."""

_PING_SECONDS = 5
_CONNECT_SECONDS = 15
_INSTEAD = "without Docker use --runtime netns"

WORKERS = min(32, 4 * (os.cpu_count() or 1))
"""Calls under way at once. From 4 on it makes no difference to the Docker Engine, whose time goes into runc; with more
it has the next container at hand whenever a core is free."""

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")
_Arguments = ParamSpec("_Arguments")

_BUSY = (
    "timeout",
    "timed out",
    "deadline exceeded",
    "temporarily unavailable",
    "resource busy",
    "code = unavailable",  # a Swarm's manager, to which the connection is lost
    "does not have a leader",  # while the managers of a Swarm choose one
    "invalid cluster node while attaching",  # while it joins the Swarm again
    "after successful attachment",  # the last container on this machine left the network meanwhile
)
"""In what the Docker Engine says while it is overloaded, or waits for others of its Swarm."""


class DockerEngine:
    """A Docker Engine that answers; API 1.41 (Docker Engine 20.10) or newer.

    Args:
        endpoint: where it is; where the environment says unless given.

    Attributes:
        api: its low-level client, which may be shared by threads.
        version: of the Docker Engine, as it prints it.
        is_podman: it is podman that answers, through its Docker-compatible socket.

    Raises:
        MachineError: none answers, or one that is too old; a podman that runs without root.
    """

    def __init__(self, endpoint: DockerEndpoint | None = None) -> None:
        self._endpoint = endpoint or endpoints.of_environment()
        self._url = self._endpoint.url
        if self._url.startswith("unix://"):
            _knock(self._url.removeprefix("unix://"), self._endpoint.name)
        try:
            self.api = _client(self._endpoint, _CONNECT_SECONDS if endpoint else _CALL_SECONDS)
            found = self.api.version()
            self.api.timeout = _CALL_SECONDS
        except (DockerException, RequestException) as error:
            raise _unreachable(error, self._endpoint.name) from None
        self.version: str = found["Version"]
        self._kernel: str = found.get("KernelVersion", "")
        self.is_podman = any(component["Name"] == podman.COMPONENT for component in found.get("Components") or ())
        if version_lt(self.api.api_version, _OLDEST_API):
            raise MachineError(
                "docker-too-old",
                f"Docker Engine {self.version} speaks API {self.api.api_version}; {_OLDEST_API} is needed",
                "install Docker Engine 20.10 or newer",
            )
        if self.is_podman:
            podman.require_root(self.info(), self.description)

    @property
    def description(self) -> str:
        """Its description for people: `Docker Engine 28.2.2 (API 1.50)`."""
        if self.is_podman:
            return f"podman {self.version} through its Docker-compatible socket (API {self.api.api_version})"
        return f"Docker Engine {self.version} (API {self.api.api_version})"

    @cached_property
    def hosts_agent(self) -> bool:
        """Whether a process of ours can be the agent: we are root in the namespaces that the Docker Engine is in.

        The process that listens on its Unix socket tells: the kernel gives us its pid (SO_PEERCRED, unix(7)), 0 where
        we can't see it. A virtual machine's has another kernel; a rootless one's, other namespaces.
        """
        if os.geteuid() != 0 or not self._url.startswith("unix://") or self._kernel != os.uname().release:
            return False
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(self.unix_socket)
            credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        pid, _, _ = struct.unpack("3i", credentials)
        try:
            return all(
                Path(f"/proc/{pid}/ns/{kind}").readlink() == Path(f"/proc/self/ns/{kind}").readlink()
                for kind in ("net", "pid")
            )
        except OSError:
            return False

    @property
    def unix_socket(self) -> str:
        """The path of its Unix socket here; the usual one where it is reached in another way."""
        return self._url.removeprefix("unix://") if self._url.startswith("unix://") else endpoints.DEFAULT_SOCKET

    @property
    def sockets(self) -> list[str]:
        """Where its Unix socket may be on its own machine, which a forwarded one leads to."""
        own = () if self._endpoint.forwarding else (self.unix_socket,)
        return list(dict.fromkeys((*own, endpoints.DEFAULT_SOCKET)))

    def answers(self) -> bool:
        """Whether it answers now, within a few seconds."""
        try:
            return bool(self.api.get(f"{self.api.base_url}/_ping", timeout=_PING_SECONDS).ok)
        except RequestException:
            return False

    def info(self) -> dict[str, Any]:
        """What it reports about itself and its machine."""
        with refusals("info"):
            found: dict[str, Any] = self.api.info()
        return found

    def swarm_members(self) -> list[dict[str, Any]]:
        """Return the machines of the Swarm that it manages."""
        with refusals("nodes of the Swarm"):
            found: list[dict[str, Any]] = patiently(self.api.nodes)
        return found

    def containers(self, **labels: str | None) -> list[dict[str, Any]]:
        """Return all containers, running or not, with the given labels (None matches any value)."""
        with refusals("list of containers"):
            found: list[dict[str, Any]] = self.api.containers(all=True, filters=_with(labels))
        return found

    def networks(self, **labels: str | None) -> list[dict[str, Any]]:
        """Return the networks with the given labels (None matches any value); all networks without labels given."""
        with refusals("list of networks"):
            found: list[dict[str, Any]] = self.api.networks(filters=_with(labels))
        return found

    def log_tail(self, container: str, lines: int = 10) -> str:
        """The last lines that a container wrote."""
        with refusals("log"):
            return self.api.logs(container, tail=lines).decode(errors="replace").strip()

    def log(self, container: str, *, follow: bool) -> Iterator[bytes]:
        """All that a container has written, in pieces; with `follow`, until it ends."""
        with refusals("log"):
            yield from self.api.logs(container, stream=True, follow=follow)


def _client(endpoint: DockerEndpoint, seconds: float) -> APIClient:
    """Return a client that speaks the newest API of a Docker Engine.

    With TLS, the endpoint's own authority counts, whatever authorities the environment names for all that uses requests
    (REQUESTS_CA_BUNDLE, which takes precedence there).
    """
    options: dict[str, Any] = {**endpoint.options, "timeout": seconds, "max_pool_size": WORKERS}
    if not options.get("tls"):
        return APIClient(**options, version="auto")
    asking = APIClient(**options, version=_OLDEST_API)
    asking.trust_env = False
    client = APIClient(**options, version=asking.version(api_version=False)["ApiVersion"])
    client.trust_env = False
    return client


def _with(labels: dict[str, str | None]) -> dict[str, list[str]]:
    return {"label": [f"testbed.{k}" if v is None else f"testbed.{k}={v}" for k, v in labels.items()]}


def in_parallel(work: Callable[[_Item], _Result], items: Iterable[_Item]) -> list[_Result]:
    """The result of `work` for every item, in order. After the first error nothing new is begun, and it is raised."""
    with ThreadPoolExecutor(WORKERS) as pool:
        futures = [pool.submit(work, item) for item in items]
        try:
            return [future.result() for future in futures]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def patiently(call: Callable[_Arguments, _Result], *args: _Arguments.args, **kwargs: _Arguments.kwargs) -> _Result:
    """Make a call that may be repeated, again while the Docker Engine says that it is busy; then raise what it says."""
    return _retrying()(call, *args, **kwargs)


def anew(make: Callable[[], _Result], undo: Callable[[], object]) -> _Result:
    """Make something, anew while the Docker Engine says that it is busy; then raise what it says.

    Args:
        make: makes it.
        undo: removes what a `make` that was refused has left.
    """
    return _retrying(undo)(make)


def _retrying(undo: Callable[[], object] | None = None) -> Retrying:
    def before_next(state: RetryCallState) -> None:
        failed = state.outcome.exception() if state.outcome else None
        _log.info("the Docker Engine is busy, and is asked again: %s", reason(failed) if failed else "")
        if undo:
            undo()

    return Retrying(
        retry=retry_if_exception(is_passing),
        wait=wait_exponential(multiplier=0.05, max=1),
        stop=stop_after_delay(_PATIENCE_SECONDS) & stop_after_attempt(_LEAST_TRIES),
        before_sleep=before_next,
        reraise=True,
    )


def is_passing(error: BaseException | None) -> bool:
    """Whether a refusal, or an error that came of one, may pass.

    The Docker Engine is changing what it is asked about, or is overloaded, or the manager of its Swarm is.
    """
    while isinstance(error, TestbedError):
        error = error.__context__
    if not isinstance(error, APIError):
        return False
    said = (error.explanation or "").lower()
    if error.status_code == 409:  # noqa: PLR2004  # Conflict
        return "in progress" in said
    return error.is_server_error() and any(words in said for words in _BUSY)


@contextmanager
def refusals(what: str, code: str = "docker-refused") -> Iterator[None]:
    """Turn what the Docker Engine answers into a LabError that says what it was asked to do."""
    try:
        yield
    except (DockerException, RequestException) as error:
        raise LabError(code, f"{what}: {reason(error)}") from None


def reason(error: BaseException) -> str:
    """Return the Docker Engine's own message in an error of its client."""
    if isinstance(error, APIError) and error.explanation:
        return error.explanation.strip()
    return str(error)


def _knock(path: str, name: str) -> None:
    """Connect to the Docker Engine's socket before the SDK does, which leaks its own if there is no answer.

    Raises:
        MachineError: there is no answer.
    """
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(path)
        except OSError as error:
            raise _unreachable(error, name) from None


def _unreachable(error: Exception, where: str) -> MachineError:
    match _os_error(error):
        case FileNotFoundError():
            return MachineError(
                "docker-missing",
                f"there is no Docker Engine: {where} does not exist",
                f"install and start it (apt-get install docker.io), or set DOCKER_HOST; {_INSTEAD}",
            )
        case PermissionError():
            return MachineError(
                "docker-denied",
                f"user {os.geteuid()} may not open {where}",
                f"sudo usermod -aG docker $USER, then log in again; {_INSTEAD}",
            )
        case ConnectionRefusedError():
            return MachineError(
                "docker-stopped",
                f"no Docker Engine listens at {where}",
                f"start it (sudo systemctl start docker); {_INSTEAD}",
            )
    return MachineError(
        "docker-unreachable",
        f"the Docker Engine at {where} does not answer: {error}",
        f"see docker version; {_INSTEAD}",
    )


def _os_error(error: BaseException | None) -> OSError | None:
    """Return the system's error that an error of the client contains, among arguments, causes and contexts."""
    seen: list[BaseException | None] = [error]
    for candidate in seen:
        if isinstance(candidate, FileNotFoundError | PermissionError | ConnectionRefusedError):
            return candidate
        if candidate is not None:
            related = (candidate.__cause__, candidate.__context__, *candidate.args)
            seen += [inner for inner in related if isinstance(inner, BaseException) and inner not in seen]
    return None
