"""A small client of the Docker Engine, on its Unix socket: looks containers up by their ids, and controls them.

The agent needs only that, so it does without the docker SDK, which takes half a second to import. The list of
containers, unlike the details of one, is answered while the Engine starts the container.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

import msgspec

from testbed.errors import LabError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_SECONDS = 30.0
"""In which the Docker Engine says what a container is, on a machine that is busy."""

_ORDER_SECONDS = 60.0
"""In which a container is stopped or started, on a machine that is busy."""

_CPU_PERIOD_US = 100_000
"""In which a container may use its quota of CPU time: the kernel's default."""

_PROJECT, _SERVICE, _NUMBER, _ONE_OFF = (
    f"com.docker.compose.{each}" for each in ("project", "service", "container-number", "oneoff")
)
"""Labels that compose gives containers (https://docs.docker.com/compose/)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """A container as the Docker Engine describes it.

    Attributes:
        identity: its id, 64 hexadecimal digits.
        name: without the slash that the Docker Engine puts before it.
        project, service, number: of compose; empty and 0 for others, also for those of `docker compose run`.
    """

    identity: str
    name: str
    project: str = ""
    service: str = ""
    number: int = 0


class _RefusedError(LabError):
    """`docker-refused`, with the status of the answer."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__("docker-refused", message)
        self.status = status


class _Listed(msgspec.Struct):
    """What is used of an element of the list of containers."""

    identity: str = msgspec.field(name="Id")
    names: list[str] = msgspec.field(name="Names")
    labels: dict[str, str] | None = msgspec.field(name="Labels")


class _HostConfig(msgspec.Struct):
    """What is used of the host configuration of a container."""

    nano_cpus: int = msgspec.field(name="NanoCpus", default=0)
    cpu_period: int = msgspec.field(name="CpuPeriod", default=0)
    cpu_quota: int = msgspec.field(name="CpuQuota", default=0)


class _Inspected(msgspec.Struct):
    """What is used of the details of a container."""

    host: _HostConfig = msgspec.field(name="HostConfig")


_LISTED: Final = msgspec.json.Decoder(list[_Listed])
_INSPECTED: Final = msgspec.json.Decoder(_Inspected)


class LocalDockerEngine:
    """The Docker Engine that listens on a Unix socket."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def socket(self) -> str:
        """The path of the socket."""
        return str(self._path)

    async def container(self, identity: str) -> Container | None:
        """The container with an id, whether it runs or not; None where there is none.

        Raises:
            LabError: `docker-engine-silent`.
        """
        return await asyncio.to_thread(self._ask, identity)

    async def order(self, identity: str, what: str) -> None:
        """Control a container: `pause`, `unpause`, `stop`, `kill` or `start`, with parameters as in the Engine's API.

        One that is as wanted already is no error.

        Raises:
            LabError: `docker-refused`, with what the Docker Engine says; `docker-engine-silent`.
        """
        await asyncio.to_thread(self._request, "POST", identity, what)

    def unpause(self, identity: str) -> None:
        """Let the processes of a container go on, if it is there and paused.

        Raises:
            LabError: `docker-engine-silent`.
        """
        with suppress(_RefusedError):  # it has ended, or goes on already
            self._request("POST", identity, "unpause")

    def start(self, identity: str) -> None:
        """Start a container, if it is there and does not run.

        Raises:
            LabError: as `order`.
        """
        self._request_if_there(identity, "start")

    def limit(self, identity: str, limits: Mapping[str, int]) -> None:
        """Change limits of a container as `update` does, if it is there.

        Raises:
            LabError: as `order`.
        """
        self._request_if_there(identity, "update", json.dumps(dict(limits)).encode())

    async def cpu_limits(self, identity: str) -> dict[str, int]:
        """Return the limits of a container's CPU time, as `update` takes them to set these again.

        Raises:
            LabError: as `order`.
        """
        said = await asyncio.to_thread(self._request, "GET", identity, "json")
        host = _INSPECTED.decode(said).host
        if host.nano_cpus:
            return {"NanoCpus": host.nano_cpus}
        # The Docker Engine takes 0 as no change, and can't take a limit in NanoCpus away again.
        return {"CpuPeriod": host.cpu_period or _CPU_PERIOD_US, "CpuQuota": host.cpu_quota or -1}

    async def update(self, identity: str, limits: Mapping[str, int]) -> None:
        """Change limits of a container, named as in the Engine's API.

        Raises:
            LabError: as `order`.
        """
        await asyncio.to_thread(self._request, "POST", identity, "update", json.dumps(dict(limits)).encode())

    def _request_if_there(self, identity: str, what: str, body: bytes | None = None) -> None:
        try:
            self._request("POST", identity, what, body)
        except _RefusedError as error:
            if error.status != http.HTTPStatus.NOT_FOUND:
                raise

    def _request(self, method: str, identity: str, what: str, body: bytes | None = None) -> bytes:
        connection = _UnixConnection(self._path, _ORDER_SECONDS)
        name = what.partition("?")[0]
        headers = {"Content-Type": "application/json"} if body else {}
        try:
            connection.request(method, f"/containers/{identity}/{what}", body, headers)
            answer = connection.getresponse()
            said = answer.read()
        except (OSError, http.client.HTTPException) as error:
            message = f"the Docker Engine at {self._path} does not {name} container {identity[:12]}: {error}"
            raise LabError("docker-engine-silent", message) from None
        finally:
            connection.close()
        if answer.status not in (http.HTTPStatus.OK, http.HTTPStatus.NO_CONTENT, http.HTTPStatus.NOT_MODIFIED):
            try:
                reason = json.loads(said)["message"]
            except (ValueError, KeyError, TypeError):
                reason = f"status {answer.status}"
            raise _RefusedError(answer.status, f"container {identity[:12]}: no {name}: {reason}")
        return said

    def _ask(self, identity: str) -> Container | None:
        query = quote(json.dumps({"id": [identity]}))
        connection = _UnixConnection(self._path)
        try:
            connection.request("GET", f"/containers/json?all=1&filters={query}")
            answer = connection.getresponse()
            listed = _LISTED.decode(answer.read())
        except (OSError, http.client.HTTPException, msgspec.MsgspecError) as error:
            raise LabError(
                "docker-engine-silent",
                f"the Docker Engine at {self._path} does not say which container {identity[:12]} is: {error}",
            ) from None
        finally:
            connection.close()
        return _described(listed[0]) if listed else None


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path, seconds: float = _SECONDS) -> None:
        super().__init__("localhost", timeout=seconds)
        self._path = path

    def connect(self) -> None:
        """Open the socket."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def _described(listed: _Listed) -> Container:
    labels = listed.labels or {}
    name = min(listed.names, key=len).removeprefix("/")  # longer ones are aliases, `/other/alias`
    if labels.get(_ONE_OFF, "").lower() == "true" or not labels.get(_NUMBER, "").isdecimal():
        return Container(identity=listed.identity, name=name)
    return Container(
        identity=listed.identity,
        name=name,
        project=labels.get(_PROJECT, ""),
        service=labels.get(_SERVICE, ""),
        number=int(labels[_NUMBER]),
    )
