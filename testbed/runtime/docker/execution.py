"""A command in a running container (`docker exec`) and its streams."""

from __future__ import annotations

import re
import select
import socket
import ssl
import struct
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, Any, Self

from tenacity import RetryError, Retrying, retry_if_result, stop_after_delay, wait_fixed

from testbed.errors import LabError, TestbedError, UsageError
from testbed.runtime.docker.engine import patiently, refusals

if TYPE_CHECKING:
    import io
    from collections.abc import Iterator, Sequence

    from testbed.runtime.docker.engine import DockerEngine

STDOUT, STDERR = 1, 2

_HEADER = struct.Struct(">BxxxL")
"""Stream and length of a frame, where there is no terminal (Docker Engine API, "Attach to a container")."""

_END_OF_MESSAGE = b"\r\n"
"""How the Docker Engine's message ends, sent as the command's output, when it can't start a command."""

_PODMANS_MESSAGE = re.compile(rb"Error: .*: OCI (permission denied|runtime attempted to invoke a command .*)\r?\n")
"""podman's message; a second one, about a socket of its own, may follow."""
_NEVER_STARTED = (126, 127)
"""The exit status that podman gives a command that it can't start, as a shell does."""

_STEP_SECONDS = 10
_MOST_IDLE_SECONDS = 60
_CHUNK = 1 << 16


class Execution:
    """A command running in a container.

    Args:
        engine: the Docker Engine of the container.
        container: name or id.
        argv: the command.
        stdin: whether the command gets a standard input; otherwise that is empty.
        tty: whether its streams are a terminal.
        environment: variables besides those of the container.

    Raises:
        LabError: `docker-refused`, the container isn't running or doesn't exist.
    """

    def __init__(
        self,
        engine: DockerEngine,
        container: str,
        argv: Sequence[str],
        *,
        stdin: bool = False,
        tty: bool = False,
        environment: dict[str, str] | None = None,
    ) -> None:
        self._api = engine.api
        self._podman = engine.is_podman
        self._tty = tty
        self._buffer = b""
        with refusals(f"{argv[0]} in {container}"):
            self._id: str = patiently(
                self._api.exec_create, container, list(argv), stdin=stdin, tty=tty, environment=environment
            )["Id"]
            stream: Any = self._api.exec_start(self._id, tty=tty, socket=True)
        # The client returns the socket of a TLS connection itself, any other as a file.
        self._socket: socket.socket = getattr(stream, "_sock", stream)
        self._response = stream._response  # noqa: SLF001
        self._early = self._take_early(self._response.raw._fp.fp)  # noqa: SLF001

    def _take_early(self, reader: io.BufferedReader) -> bytes:
        """Return the bytes that the client has read beyond the response headers; they would be lost otherwise."""
        self._socket.settimeout(0)
        early = b""
        with suppress(ssl.SSLWantReadError):
            early = reader.peek()
        self._socket.settimeout(None)
        return early

    def output(self) -> Iterator[tuple[int, bytes]]:
        """Yield the output of the command, as pairs of `STDOUT` or `STDERR` and bytes, until it closes its streams.

        Raises:
            UsageError: `command-not-found`, `command-refused`.
            LabError: `command-not-started`; `docker-gone`, the connection broke.
        """
        try:
            frames = self._frames()
            for stream, data in islice(frames, 1):
                if error := self._never_started(data):
                    raise error
                yield stream, data
            yield from frames
        except (OSError, ValueError) as error:
            raise LabError("docker-gone", f"the connection to the Docker Engine broke: {error}") from None

    def _frames(self) -> Iterator[tuple[int, bytes]]:
        if self._tty:
            while data := self._receive():
                yield STDOUT, data
            return
        while data := self._receive():
            self._buffer += data
            while frame := self._whole_frame():
                self._buffer = self._buffer[len(frame) :]
                yield frame[0], frame[_HEADER.size :]
        if self._buffer:
            raise ConnectionError("it ended within a frame")

    def _whole_frame(self) -> bytes:
        """Return the first received frame with its header; empty if it is still incomplete."""
        if len(self._buffer) < _HEADER.size:
            return b""
        end = _HEADER.size + _HEADER.unpack_from(self._buffer)[1]
        return self._buffer[:end] if len(self._buffer) >= end else b""

    def _receive(self) -> bytes:
        """Return the next bytes from the Docker Engine; empty at the end."""
        if early := self._early:
            self._early = b""
            return early
        idle = 1
        while not self._readable(idle):
            # The stream stays open while a process that the command left behind holds it, and forever if the container
            # ends while a command is being started in it.
            if self._has_ended() and not self._readable(1):
                if self._has_run():
                    return b""
                raise ConnectionError("the command is gone, and its output never ended")
            idle = min(2 * idle, _MOST_IDLE_SECONDS)
        return self._socket.recv(_CHUNK)

    def _readable(self, seconds: float) -> bool:
        return bool(select.select([self._socket], [], [], seconds)[0])

    def _has_ended(self) -> bool:
        try:
            return self._inspect()["ExitCode"] is not None
        except LabError:
            return True

    def _has_run(self) -> bool:
        with suppress(LabError):
            state = self._inspect()
            # podman forgets the pid of a command that has ended.
            return bool(state["Pid"] or self._podman) and state["ExitCode"] is not None
        return False

    def comes_within(self, seconds: float) -> bool:
        """Return whether more output, or its end, comes within that time."""
        return bool(self._early or self._whole_frame()) or self._readable(seconds)

    def sendall(self, data: bytes, /) -> None:
        """Write to the standard input of the command."""
        self._socket.sendall(data)

    @property
    def half_closes(self) -> bool:
        """Whether the standard input can end before the output: not over TLS, where Python closes both directions."""
        return not isinstance(self._socket, ssl.SSLSocket)

    def close_stdin(self) -> None:
        """Close the standard input of the command; do nothing if the command has ended."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def resize(self, lines: int, columns: int) -> None:
        """Set the size of the command's terminal; do nothing if the command has ended."""
        if self.pid is not None:
            with suppress(LabError), refusals("resize"):
                self._api.exec_resize(self._id, height=lines, width=columns)

    @property
    def pid(self) -> int | None:
        """The command's pid on the Docker Engine's machine, also its session's id; None if the command has ended."""
        starting = retry_if_result(lambda state: not state["Pid"] and state["ExitCode"] is None)
        state = self._await(starting, "command-not-started", "the Docker Engine is still starting the command")
        return state["Pid"] if state["Running"] else None

    def status(self) -> int:
        """Return the exit status as a shell reports it, once the output has ended.

        Raises:
            LabError: `command-goes-on`, the command closed its streams and did not end.
        """
        running = retry_if_result(lambda state: state["Running"])
        status: int = self._await(running, "command-goes-on", "the command closed its output and goes on")["ExitCode"]
        return status

    def _await(self, unfinished: retry_if_result, code: str, message: str) -> dict[str, Any]:
        try:
            return Retrying(retry=unfinished, wait=wait_fixed(0.01), stop=stop_after_delay(_STEP_SECONDS))(
                self._inspect
            )
        except RetryError:
            raise LabError(code, f"{message} after {_STEP_SECONDS} s") from None

    def _never_started(self, output: bytes) -> TestbedError | None:
        """Return why the command could not be started, or None if the command itself wrote `output`."""
        if self._podman:
            if not _PODMANS_MESSAGE.match(output) or self._inspect()["ExitCode"] not in (None, *_NEVER_STARTED):
                return None
            text = output.decode(errors="replace").splitlines()[0].rpartition(": OCI ")[0]
        else:
            if not output.endswith(_END_OF_MESSAGE):
                return None
            state = self._inspect()
            if state["Pid"] or state["ExitCode"] is None:
                return None
            text = output.decode(errors="replace").strip().removesuffix(": unknown")
        # runc: exec: "no-such": executable file not found in $PATH; crun: executable file `no-such` not found in $PATH
        what = text.partition("exec: ")[2] or text.partition("crun: ")[2]
        if not what:
            return LabError("command-not-started", text)
        missing = "not found" in what or "no such file" in what.lower()
        return UsageError("command-not-found" if missing else "command-refused", what)

    def _inspect(self) -> dict[str, Any]:
        with refusals("command"):
            state: dict[str, Any] = self._api.exec_inspect(self._id)
        if self._podman and not state["CanRemove"]:  # it reports 0 until the command has ended, not null
            state["ExitCode"] = None
        return state

    def close(self) -> None:
        """Close the streams; the command continues, but its output is not read."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # wakes a thread that is reading
        self._response.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
