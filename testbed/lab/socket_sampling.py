"""Regular samples of the TCP connections of nodes during a run."""

from __future__ import annotations

import logging
import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING, Self, TextIO

from testbed.agent import messages
from testbed.errors import LabError
from testbed.records import format_line
from testbed.runs import Connections

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from types import TracebackType

    from testbed.agent.client import Agent
    from testbed.agent.messages import NodeSockets, TcpConnection
    from testbed.runs import RunWriter

_log = logging.getLogger(__name__)

INTERVAL_S = 0.5
"""Time between two samples."""

_LAST_LOOK_S = 30.0
"""Time limit of the last sample."""

DIRECTORY = "sockets"
"""The directory of a run's samples of connections."""

_LINE = 20  # samples of a connection in one line


class _Record:
    """The connections of one node, written to its file.

    Attributes:
        looks: number of samples.
        connections: names of all connections that were seen.
    """

    def __init__(self, node: str, path: Path, file: TextIO) -> None:
        self.looks = 0
        self.connections: set[str] = set()
        self._node = node
        self._path = path
        self._file = file
        self._heads: dict[str, dict[str, str | None]] = {}
        self._rows: dict[str, list[dict[str, int]]] = {}

    def add(self, seen: NodeSockets) -> None:
        """Add a sample from the agent; see `testbed.agent.messages`."""
        self.looks += 1
        present = set()
        for connection in seen.connections:
            name = f"{connection.local} {connection.peer}"
            present.add(name)
            head = {"connection": name, "process": connection.process, "congestion": connection.congestion}
            row = {"at_ns": seen.at_ns, **_queues(connection), **connection.info}
            rows = self._rows.setdefault(name, [])
            if rows and (len(rows) >= _LINE or rows[0].keys() != row.keys() or self._heads[name] != head):
                self._write(name)
            self._heads[name] = head
            self._rows.setdefault(name, []).append(row)
        for name in self._rows.keys() - present:
            self._write(name)
        self.connections |= present

    def end(self) -> Connections:
        """Write the samples that are left, and return the record of the file."""
        for name in list(self._rows):
            self._write(name)
        return Connections(
            node=self._node,
            file=f"{DIRECTORY}/{self._path.name}",
            connections=len(self.connections),
            samples=self.looks,
        )

    def _write(self, name: str) -> None:
        rows = self._rows.pop(name)
        columns = {column: [row[column] for row in rows] for column in rows[0]}
        self._file.write(format_line(self._node, "tcp-info", columns, **self._heads.pop(name)))


def _queues(connection: TcpConnection) -> dict[str, int]:
    return {name: getattr(connection, name) for name in ("send_queue_bytes", "receive_queue_bytes", "drops")}


class SocketSampling:
    """A context that samples the TCP connections of nodes every `INTERVAL_S` and records the samples in the run.

    Raises on leaving:
        TestbedError: the agent could not read the connections.
    """

    def __init__(self, nodes: Sequence[str], agent: Agent, writer: RunWriter) -> None:
        self._nodes = nodes
        self._agent = agent
        self._writer = writer
        self._records: dict[str, _Record] = {}
        self._thread = threading.Thread(target=self._sample_until_over, daemon=True)
        self._over = threading.Event()
        self._failure: Exception | None = None
        self._files = ExitStack()

    def __enter__(self) -> Self:
        if self._nodes:
            directory = self._writer.run.path / DIRECTORY
            directory.mkdir()
            for node in self._nodes:
                path = directory / f"{node}.jsonl"
                self._records[node] = _Record(node, path, self._files.enter_context(path.open("x", encoding="utf-8")))
            self._thread.start()
        return self

    def _sample_until_over(self) -> None:
        try:
            self._look()
            while not self._over.wait(INTERVAL_S):
                self._look()
            self._look()
        except Exception as error:  # noqa: BLE001  # it is raised again where the context ends
            self._failure = error

    def _look(self) -> None:
        for node, seen in self._agent.call(messages.Sockets(nodes=tuple(self._nodes))).items():
            self._records[node].add(seen)

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if not self._nodes:
            return
        self._over.set()
        self._thread.join(_LAST_LOOK_S)
        if self._thread.is_alive():
            self._failure = LabError(
                "agent-stuck", f"the lab's agent has not reported TCP connections for {_LAST_LOOK_S:.0f} s"
            )
        with self._files:
            sampled = [record.end() for record in self._records.values()]
        _log.info("sampled %d TCP connections of %d nodes", sum(node.connections for node in sampled), len(sampled))
        self._writer.sampled(sampled)
        if self._failure is not None and error is None:
            raise self._failure
