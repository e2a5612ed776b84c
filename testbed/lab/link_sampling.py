"""Regular samples of the counters of links during a run, which the agent takes."""

from __future__ import annotations

import logging
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Self

from testbed.agent.messages import LinkSamples, SampleLinks, Tell
from testbed.errors import LabError
from testbed.records import format_line
from testbed.runs import LINKS_FILE, LinkRecord

if TYPE_CHECKING:
    from types import TracebackType

    from testbed.agent.client import Agent
    from testbed.agent.client_connection import ClientConnection
    from testbed.runs import RunWriter

_log = logging.getLogger(__name__)

INTERVAL_NS: Final = 100_000_000
"""The least time between two samples of a link; where links are many it is more, see `testbed.agent.link_sampling`."""

_LAST_S = 30.0
"""Time limit of the last samples."""


class LinkSampling:
    """A context that records the counters of all links in the run; without links it does nothing.

    Args:
        agent: of the lab.
        writer: of the run.
        links: how many links the lab has.

    Raises on leaving:
        TestbedError: the agent could not read the counters.
    """

    def __init__(self, agent: Agent, writer: RunWriter, *, links: int) -> None:
        self._agent = agent
        self._writer = writer
        self._has_links = links > 0
        self._call = SampleLinks(interval_ns=INTERVAL_NS)
        self._connection: ClientConnection | None = None
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._failure: Exception | None = None
        self._links: set[str] = set()
        self._samples = 0

    def __enter__(self) -> Self:
        if self._has_links:
            self._connection = self._agent.begin(self._call)
            self._reader.start()
        return self

    def _read(self) -> None:
        """Write the samples to the run's file until the agent sends its result or an error."""
        assert self._connection is not None  # noqa: S101  # __enter__ has set it
        try:
            with (self._writer.run.path / LINKS_FILE).open("x", encoding="utf-8") as file:
                for samples in self._connection.events(self._call, LinkSamples):
                    file.write(format_line("", "link", samples.columns, link=samples.link))
                    self._links.add(samples.link)
                    self._samples += len(samples.columns["at_ns"])
        except Exception as error:  # noqa: BLE001  # it is raised again where the context ends
            self._failure = error

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if self._connection is None:
            return
        try:
            with suppress(LabError):  # the agent has gone or has failed: the reader has its error
                self._connection.tell(Tell())
            self._reader.join(_LAST_S)
            if self._reader.is_alive():
                self._failure = LabError(
                    "agent-stuck", f"the lab's agent has not reported the counters of links for {_LAST_S:.0f} s"
                )
        finally:
            self._connection.close()
        _log.info("sampled the counters of %d links %d times", len(self._links), self._samples)
        if self._failure is None:
            self._writer.counted(
                LinkRecord(file=LINKS_FILE, interval_ns=INTERVAL_NS, links=len(self._links), samples=self._samples)
            )
        elif error is None:
            raise self._failure
