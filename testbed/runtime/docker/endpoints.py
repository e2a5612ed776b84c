"""Where a Docker Engine is reached: by an address (`unix://`, `tcp://` with TLS, `ssh://`), or by a Docker context."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
import weakref
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from docker.context import Context, ContextAPI
from docker.errors import DockerException
from docker.utils import kwargs_from_env

from testbed.errors import MachineError

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_SOCKET = "/var/run/docker.sock"

_SSH_SECONDS = 30
_SSH_OPTIONS = ("BatchMode=yes", "ExitOnForwardFailure=yes", "ServerAliveInterval=5", "ServerAliveCountMax=3")


_UNTIL_IT_ENDS = '"$@"; rm -rf -- "$0"'
"""Script that runs the command in its arguments, and removes the directory that it is called by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DockerEndpoint:
    """A way to a Docker Engine.

    Attributes:
        name: what people know it by: the address or the context, as it was given.
        options: of the SDK's client: `base_url`, and `tls` where it has some.
        forwarding: the process that forwards its socket, for as long as the endpoint is in use; None without.
    """

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    forwarding: ForwardedSocket | None = None

    @property
    def url(self) -> str:
        """Its address, as the SDK takes it."""
        return str(self.options.get("base_url") or f"unix://{DEFAULT_SOCKET}")


def of_environment() -> DockerEndpoint:
    """Return the endpoint that the environment names, as for the command `docker`, or the usual socket.

    Raises:
        MachineError: `docker-over-ssh`.
    """
    host = os.environ.get("DOCKER_HOST", "")
    if host.startswith("ssh://"):
        raise MachineError(
            "docker-over-ssh",
            f"DOCKER_HOST={host}: the Docker Engine is reached through a socket only",
            "forward it, ssh -N -L /tmp/docker.sock:/var/run/docker.sock HOST, "
            "and set DOCKER_HOST=unix:///tmp/docker.sock",
        )
    return DockerEndpoint(name=host or DEFAULT_SOCKET, options=kwargs_from_env())


def named(address: str) -> DockerEndpoint:
    """Return the endpoint of an address, or of the Docker context of that name.

    Raises:
        MachineError: `unknown-context`; `no-tls`, the address is TCP without TLS; `ssh-failed`.
    """
    scheme, separator, _ = address.partition("://")
    if not separator:
        return _of_context(address)
    if scheme == "ssh":
        return _over_ssh(address, address)
    if scheme == "tcp":
        _require_own_machine(address, address)
    return DockerEndpoint(name=address, options={"base_url": address})


def _of_context(name: str) -> DockerEndpoint:
    try:
        context: Context | None = ContextAPI.get_context(name)  # the stub is wrong
    except DockerException as error:
        raise MachineError("unknown-context", f"Docker context {name!r} can't be read: {error}") from None
    if context is None:
        hint = f"docker context create {name} --docker host=ssh://user@host makes one; docker context ls lists them; "
        hint += "they are only found beside a config.json, which may be {}: ~/.docker/config.json"
        raise MachineError("unknown-context", f"there is no Docker context {name!r}", hint)
    url = context.Host or f"unix://{DEFAULT_SOCKET}"
    if url.startswith("ssh://"):
        return _over_ssh(url, name)
    if context.TLSConfig:
        return DockerEndpoint(name=name, options={"base_url": url, "tls": context.TLSConfig})
    if url.startswith("tcp://"):
        _require_own_machine(url, f"Docker context {name}, {url}")
    return DockerEndpoint(name=name, options={"base_url": url})


def _require_own_machine(url: str, name: str) -> None:
    """Refuse TCP without TLS: who reaches that port is root there, and sees and changes what others send.

    Raises:
        MachineError: `no-tls`.
    """
    host = urlsplit(url).hostname or ""
    try:
        is_own = ip_address(host).is_loopback
    except ValueError:
        is_own = host == "localhost"
    if not is_own:
        raise MachineError(
            "no-tls",
            f"{name} has no TLS: everybody who reaches that port is root on its machine",
            "use ssh://, or a Docker context with certificates (docker context create --docker host=tcp://…,ca=…)",
        )


class ForwardedSocket:
    """A Docker Engine's Unix socket, forwarded from another machine by ssh(1).

    ssh runs `cat` there, whose standard input is a pipe from this process. So it ends when this process does, however
    that comes, and the shell that has started it then removes the socket's directory. Both have a session of their own:
    Ctrl-C at the terminal is for the command alone, which still needs its machines to clean up.

    Raises:
        MachineError: `ssh-failed`, with what ssh said.
    """

    def __init__(self, url: str, name: str) -> None:
        parts = urlsplit(url)
        place = Path(tempfile.mkdtemp(prefix="testbed-ssh-"))
        self.path = place / "docker.sock"
        remote = parts.path if len(parts.path) > 1 else DEFAULT_SOCKET
        target = f"{parts.username}@{parts.hostname}" if parts.username else str(parts.hostname)
        argv = ["ssh", *(word for option in _SSH_OPTIONS for word in ("-o", option))]
        argv += ["-p", str(parts.port)] * bool(parts.port)
        argv += ["-L", f"{self.path}:{remote}", "--", target, "cat"]
        with tempfile.TemporaryFile() as errors:
            process = subprocess.Popen(
                ["sh", "-c", _UNTIL_IT_ENDS, str(place), *argv],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                start_new_session=True,
            )
            end = weakref.finalize(self, _end, process, place)
            deadline = time.monotonic() + _SSH_SECONDS
            while not self.path.exists():
                if process.poll() is not None or time.monotonic() > deadline:
                    errors.seek(0)
                    said = errors.read().decode("utf-8", "replace").strip() or f"nothing within {_SSH_SECONDS} s"
                    end()
                    raise _ssh_failed(name, said)
                time.sleep(0.02)


def _over_ssh(url: str, name: str) -> DockerEndpoint:
    forwarding = ForwardedSocket(url, name)
    return DockerEndpoint(name=name, options={"base_url": f"unix://{forwarding.path}"}, forwarding=forwarding)


def _ssh_failed(name: str, said: str) -> MachineError:
    hint = "it must work without a question: ssh-copy-id, ssh-agent; the user there must be in the group docker"
    return MachineError("ssh-failed", f"ssh to {name} says: {said}", hint)


def _end(process: subprocess.Popen[bytes], place: Path) -> None:
    if process.stdin:
        process.stdin.close()
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
    process.wait()
    shutil.rmtree(place, ignore_errors=True)
