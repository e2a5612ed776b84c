"""What happens to a lab: the agent's events for this process, and what a run announces to others."""

from __future__ import annotations

import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Self

from testbed import codec
from testbed.agent import protocol
from testbed.agent.messages import AnnounceRun, Follow, LabEvent, RunNote, Tell
from testbed.errors import LabError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from testbed.agent.client import Agent
    from testbed.plan.workloads import Workload


class EventStream:
    """The events of a lab, in their order. Used as a context manager, it is closed at the end.

    Iterating over it waits for the next event. It ends when the lab goes down, and raises LabError `agent-gone` when
    the agent dies.
    """

    def __init__(self, agent: Agent, *, past: bool, follow: bool) -> None:
        self._call = Follow(past=past, lasting=follow)
        self._connection = agent.begin(self._call)
        self._closed = False

    def __iter__(self) -> Iterator[LabEvent]:
        try:
            yield from self._connection.events(self._call, LabEvent)
        except LabError:
            if not self._closed:
                raise
        finally:
            self._connection.close()

    def close(self) -> None:
        """End the stream, also for a thread that waits for the next event."""
        self._closed = True
        with suppress(LabError):  # the lab has gone, and the stream with it
            self._connection.tell(Tell())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
        self._connection.close()


class Announcement:
    """A context in which a run is announced to those who follow the lab. Threads may share it.

    Args:
        agent: of the lab.
        what: runs.
    """

    def __init__(self, agent: Agent, what: str) -> None:
        self._what = what
        self._call = AnnounceRun(what=what)
        self._connection = agent.begin(self._call)
        self._sending = threading.Lock()

    def __enter__(self) -> Self:
        return self

    @contextmanager
    def workload(self, workload: Workload) -> Iterator[None]:
        """Announce a workload for the time of a context."""
        what = f"{workload.name} ({workload.kind}): {workload.source} -> {workload.destination}"
        self._say(RunNote(kind="workload-begun", what=what))
        try:
            yield
        except BaseException as error:
            why = str(error).partition("\n")[0] or repr(error)
            self._say(RunNote(kind="workload-ended", what=f"{what}: failed: {why}"))
            raise
        self._say(RunNote(kind="workload-ended", what=what))

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        how = "failed" if isinstance(error, Exception) else "interrupted" if error else "done"
        self._say(RunNote(kind="run-ended", what=f"{self._what}: {how}"))
        with suppress(LabError):
            self._connection.receive()
        self._connection.close()

    def _say(self, note: RunNote) -> None:
        with self._sending, suppress(LabError):  # an agent that has gone fails the run itself
            self._connection.send(protocol.Message(tell=codec.encode(note)))
