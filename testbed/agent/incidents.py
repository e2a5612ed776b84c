"""What has happened to the ports and nodes of a lab since its agent began."""

from __future__ import annotations

import logging
import time
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING

from testbed.agent.messages import Incident
from testbed.errors import TestbedError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from testbed.agent.lab_events import Events

_log = logging.getLogger(__name__)

_KEPT = 1000

FAILURES = (TestbedError, OSError)
"""What the kernel and the engine raise where a device or a process is not there any more."""


class Incidents:
    """The latest incidents of a lab; they are numbered, and are among its events too."""

    def __init__(self, events: Events) -> None:
        self._events = events
        self._latest: deque[Incident] = deque(maxlen=_KEPT)
        self._happened = 0

    @property
    def latest(self) -> tuple[Incident, ...]:
        """The latest ones, in the order in which they happened."""
        return tuple(self._latest)

    def note(self, what: str) -> None:
        """Record that something has happened just now, in a sentence."""
        _log.info(what)
        self._happened += 1
        self._latest.append(Incident(number=self._happened, at_ns=time.monotonic_ns(), what=what))
        self._events.note("incident", what)

    @contextmanager
    def noting(self, failure: str) -> Iterator[None]:
        """Record as an incident what fails because a device or a process is not there any more."""
        try:
            yield
        except FAILURES as error:
            self.note(f"{failure}: {error}")
