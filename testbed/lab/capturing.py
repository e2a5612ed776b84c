"""Captures of packets at nodes during a context, one pcap file per port."""

from __future__ import annotations

import base64
import logging
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Self, TypeVar

from testbed.agent import protocol
from testbed.agent.capture import SIZE_BYTES, SNAP_BYTES
from testbed.agent.messages import CaptureBegun, CaptureData, CaptureEnded
from testbed.analysis import formatting
from testbed.errors import LabError, TestbedError, UsageError
from testbed.runs.capture_records import CaptureRecord

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from types import TracebackType
    from typing import BinaryIO

    from testbed.agent.client import Agent
    from testbed.agent.remote_process import RemoteProcess
    from testbed.lab.observer import Observer
    from testbed.plan.model import Plan
    from testbed.plan.workloads import CaptureSettings
    from testbed.runs import RunWriter

__all__ = [
    "ALL",
    "SIZE_BYTES",
    "SNAP_BYTES",
    "AttachmentName",
    "Capturing",
    "Limits",
    "during_run",
    "find_port",
    "ports_of",
]

_log = logging.getLogger(__name__)

ALL = "all"
"""The name that stands for all nodes."""

DIRECTORY = "captures"
"""The directory of a run's captures."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachmentName:
    """The names of a node and of a network that it is attached to."""

    node: str
    network: str

    @property
    def file(self) -> str:
        """The default name of its capture."""
        return f"{self.node}-{self.network}.pcap"


def find_port(plan: Plan, node: str, network: str | None) -> AttachmentName:
    """Return the port of a node on a network, which may be left out if the node is on one only.

    Raises:
        UsageError: `unknown-node`, `unknown-network`, `which-network`.
    """
    ports = ports_of(plan, [plan.known(node).name])
    names = ", ".join(port.network for port in ports)
    if network is None and len(ports) > 1:
        raise UsageError("which-network", f"{node} is on several networks", f"choose one with --network: {names}")
    for port in ports:
        if network in (None, port.network):
            return port
    raise UsageError("unknown-network", f"{node} is on no network {network!r}", f"its networks are: {names}")


def ports_of(plan: Plan, nodes: Sequence[str]) -> list[AttachmentName]:
    """Return all ports of nodes; `all` stands for all nodes, the name of a group for its members.

    Raises:
        UsageError: `unknown-node`.
    """
    wanted = plan.members(*(name for name in nodes if name != ALL))
    return [
        AttachmentName(node=node.name, network=interface.network)
        for node in plan.nodes
        for interface in node.interfaces
        if ALL in nodes or node.name in wanted
    ]


class Limits(NamedTuple):
    """Bytes to keep of each packet, and the limit on the size of a port's packets during the capture."""

    snap_bytes: int
    size_bytes: int


Event = TypeVar("Event")


def _read(line: str, kind: type[Event]) -> Event:
    """Read a line of a capturing process.

    Raises:
        TestbedError: it reports a failure, or something else than expected.
    """
    message = protocol.decode(line.encode())
    if error := protocol.error_of(message):
        raise error
    return protocol.read(message.event, kind, "capture")


class _Running:
    """A running capture: its process, and its file, which a thread fills from the process's output."""

    def __init__(self, agent: Agent, port: AttachmentName, path: Path, file: BinaryIO, limits: Limits) -> None:
        self._port = port
        self._path = path
        self._file = file
        self._limits = limits
        self.process: RemoteProcess = agent.capture(
            port.node, port.network, snap_bytes=limits.snap_bytes, size_bytes=limits.size_bytes
        )
        self._lines = iter(self.process)

    def begin(self) -> None:
        """Wait until the process captures every packet.

        Raises:
            TestbedError: the capture could not start.
        """
        self._begun = self._next(CaptureBegun)

    def collect(self) -> CaptureRecord:
        """Write the file from what the process sends once its standard input is closed.

        Raises:
            TestbedError: the capture failed or ended by itself, or the file can't be written.
            BrokenPipeError: the file is a pipe whose reader has gone.
        """
        ended = self._next(CaptureEnded)
        size = 0
        try:
            for line in self._lines:
                size += self._file.write(base64.b64decode(_read(line, CaptureData).base64))
            self._file.flush()
        except OSError as error:
            with suppress(OSError):
                self._file.close()  # flushing what is left fails again
            if isinstance(error, BrokenPipeError):
                raise
            raise _refused(self._path, error) from None
        if status := self.process.wait():
            raise self._failed(f"its process ended with status {status}")
        return CaptureRecord(
            node=self._port.node,
            network=self._port.network,
            interface=self._begun.interface,
            file=str(self._path),
            size_bytes=size,
            snap_bytes=self._limits.snap_bytes,
            clock_offset_ns=(self._begun.clock_offset_ns, ended.clock_offset_ns),
            packets=ended.packets,
            dropped=ended.dropped,
            overwritten=ended.overwritten,
            cpu_ns=ended.cpu_ns,
        )

    def _next(self, kind: type[Event]) -> Event:
        line = next(self._lines, None)
        if line is None:
            raise self._failed(self.process.stderr.strip() or "its process ended")
        return _read(line, kind)

    def _failed(self, why: str) -> LabError:
        return LabError("capture-failed", f"capturing at {self._port.node} on {self._port.network}: {why}")


class Capturing:
    """A context that captures packets; when it is left, the files are complete.

    If it is left by an interruption, or if a capture fails, no file is kept.

    Args:
        agent: of the lab.
        files: the file for the packets of each port.
        snap_bytes: bytes to keep of each packet.
        size_bytes: limit on the size of a port's packets during the capture; the newest are kept.

    Attributes:
        captures: the records of the captures, once the context was left.
    """

    def __init__(self, agent: Agent, files: Mapping[AttachmentName, Path], *, snap_bytes: int, size_bytes: int) -> None:
        self.captures: tuple[CaptureRecord, ...] = ()
        self._agent = agent
        self._files = files
        self._limits = Limits(snap_bytes, size_bytes)
        self._running: list[_Running] = []
        self._pending: list[Future[CaptureRecord]] = []

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for port, path in self._files.items():
                file = stack.enter_context(_open(path))
                stack.callback(self._remove_broken, path)
                running = _Running(self._agent, port, path, file, self._limits)
                stack.enter_context(running.process)
                self._running.append(running)
            for running in self._running:
                running.begin()
            pool = stack.enter_context(ThreadPoolExecutor(max_workers=len(self._running)))
            self._pending = [pool.submit(running.collect) for running in self._running]
            self._stack = stack.pop_all()
        _log.info("capture %s", ", ".join(f"{port.node} on {port.network}" for port in self._files))
        return self

    def wait(self, seconds: float | None) -> None:
        """Wait for a time, or until a capture ends by itself, which it does only if it fails."""
        wait(self._pending, timeout=seconds, return_when=FIRST_COMPLETED)

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        with self._stack:
            if error is not None and not isinstance(error, Exception):
                self._kill()
                return
            for running in self._running:
                running.process.close_stdin()
            try:
                self.captures = tuple(future.result() for future in self._pending)
                for capture in self.captures:
                    _log.info(
                        "captured %d packets in %s, dropped %d, overwrote %d",
                        capture.packets,
                        capture.file,
                        capture.dropped,
                        capture.overwritten,
                    )
            except TestbedError as second:
                if error is None:
                    raise
                error.add_note(f"the captures are lost: {second}")
            except BaseException:
                self._kill()  # so that the threads that read from them end
                raise

    def _kill(self) -> None:
        for running in self._running:
            running.process.kill()

    def _remove_broken(self, path: Path) -> None:
        """Remove a file that is not complete."""
        if not self.captures and path.is_file() and not path.is_symlink():  # as /dev/stdout is
            path.unlink()


def _open(path: Path) -> BinaryIO:
    try:
        return path.open("wb")
    except OSError as error:
        raise _refused(path, error) from None


def _refused(path: Path, error: OSError) -> UsageError:
    return UsageError(
        "file-refused", f"{path} can't be written: {error.strerror}", "choose another file, or free some space"
    )


@contextmanager
def during_run(
    settings: CaptureSettings, agent: Agent, ports: Sequence[AttachmentName], writer: RunWriter, observer: Observer
) -> Iterator[None]:
    """Capture at ports during the context, and record the captures in the run.

    Raises:
        TestbedError: a capture failed.
    """
    if not ports:
        yield
        return
    observer.begun("capture", ", ".join(f"{port.node} on {port.network}" for port in ports))
    directory = writer.run.path / DIRECTORY
    directory.mkdir()
    files = {port: directory / port.file for port in ports}
    if len(set(files.values())) < len(files):
        raise UsageError("same-file", "two ports have the same name for their captures", "capture at only one of them")
    capturing = Capturing(agent, files, snap_bytes=settings.snap_bytes, size_bytes=settings.size_bytes)
    try:
        with capturing:
            yield
    finally:
        writer.captured(
            replace(record, file=str(Path(record.file).relative_to(writer.run.path))) for record in capturing.captures
        )
    observer.ended("capture", formatting.captures_text(capturing.captures))
