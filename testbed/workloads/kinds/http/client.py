"""The HTTP client: one worker per concurrent request, with separate connections or a shared one."""

from __future__ import annotations

import asyncio
from time import monotonic_ns
from types import MappingProxyType
from typing import TYPE_CHECKING

from testbed.endpoint.errors import EndpointError
from testbed.workloads.kinds.http.connections import HttpConnections
from testbed.workloads.kinds.http.exchange import Request, Unanswered
from testbed.workloads.kinds.http.http1 import Http1
from testbed.workloads.kinds.http.http2 import Http2
from testbed.workloads.kinds.http.records import Records

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from testbed.endpoint.owner import Owner
    from testbed.endpoint.spec import Spec
    from testbed.workloads.kinds.http.exchange import Session

_VERSIONS: Mapping[str, type[Http1 | Http2]] = MappingProxyType({"1.1": Http1, "2": Http2})
_TRIES = 3
_UNLIMITED = 1 << 63
_WAKE_S = 0.1
_AFTER_FAILURE_S = 0.1


class HttpClient:
    """Carries out the spec of an http workload."""

    def __init__(self, spec: Spec, owner: Owner) -> None:
        self._owner = owner
        self._parameters = spec.parameters
        self._request = Request.of(spec)
        self._reconnects = spec.parameters["connect"] == "each"
        self._session = _VERSIONS[spec.parameters["version"]]
        self._connections = HttpConnections(spec)
        self._records = Records()
        self._quota = _Quota(spec.parameters.get("count"), spec.parameters.get("duration_ns"))

    async def run(self) -> None:
        """Send all requests, and write the records.

        Raises:
            EndpointError: a request failed before any was answered, so the server is unusable.
            Stopped: the owner wants the endpoint to stop.
        """
        tasks = asyncio.create_task(self._watch()), asyncio.create_task(self._work_all())
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for error in [task.exception() for task in done]:
            if error is not None:
                raise error
        self._write()

    async def _watch(self) -> None:
        """Report progress, and stop if the owner wants that."""
        while True:
            self._owner.check()
            self._owner.progress(self._quota.fraction)
            await asyncio.sleep(_WAKE_S)

    async def _work_all(self) -> None:
        """Run one worker per concurrent request; with HTTP/2, workers share a kept connection."""
        number = min(self._parameters["concurrency"], self._quota.most)
        sessions = [_KeptSession(self._open) for _ in range(number)]
        if self._session is Http2 and not self._reconnects:
            sessions = sessions[:1] * number
        await asyncio.gather(*(self._work(session) for session in sessions))
        for session in sessions:
            session.end()

    async def _work(self, kept: _KeptSession) -> None:
        while self._quota.take():
            await self._request_once(kept)

    async def _request_once(self, kept: _KeptSession) -> None:
        """Send a request and record its outcome; a connection for this request only is part of it."""
        number = self._records.begin() if self._reconnects else None
        try:
            for left in reversed(range(_TRIES)):
                session = await kept.session()
                number = self._records.begin() if number is None else number
                try:
                    self._records.answer(number, await session.fetch())
                except Unanswered as ended:
                    if not left:
                        raise ended.failure from ended
                else:
                    break
        except EndpointError as error:
            if not self._records.answered:
                raise
            self._records.fail(self._records.begin() if number is None else number, error)
            await asyncio.sleep(_AFTER_FAILURE_S)
        if self._reconnects:
            kept.end()

    async def _open(self) -> Session:
        """Open a session on a new connection."""
        connection = await self._connections.open()
        return self._session(self._connections, connection, self._request, self._records.flow)

    def _write(self) -> None:
        made = self._connections
        columns = {"begun_ns": made.begun_ns, "connected_ns": made.connected_ns}
        if made.secured_ns:
            columns["secured_ns"] = made.secured_ns
        self._owner.emit_columns("connections", columns)
        self._owner.emit("congestion", name=made.congestion)
        self._records.write(self._owner)
        self._owner.emit(
            "end",
            sent_bytes=self._records.flow.sent_bytes,
            retransmits=made.retransmits,
            server=self._records.server,
            protocol=f"HTTP/{self._parameters['version']}",
            tls=made.tls,
            certificate=made.certificate,
        )


class _KeptSession:
    """A session that is opened when needed, and opened again when it has ended."""

    def __init__(self, set_up: Callable[[], Awaitable[Session]]) -> None:
        self._set_up = set_up
        self._session: Session | None = None
        self._setting_up = asyncio.Lock()

    async def session(self) -> Session:
        """Return a usable session."""
        async with self._setting_up:
            if self._session is None or not self._session.usable:
                self.end()
                self._session = await self._set_up()
            return self._session

    def end(self) -> None:
        """Close the session, if it is open."""
        if self._session is not None:
            self._session.close()
            self._session = None


class _Quota:
    """The number of requests to send, or the time for which to send them.

    Attributes:
        most: the greatest number of requests.
    """

    def __init__(self, count: int | None, duration_ns: int | None) -> None:
        self.most = _UNLIMITED if count is None else count
        self._duration_ns = _UNLIMITED if duration_ns is None else duration_ns
        self._taken = 0
        self._start_ns = monotonic_ns()

    def take(self) -> bool:
        """Count another request and return True, or return False if there are enough."""
        more = self.fraction < 1
        self._taken += more
        return more

    @property
    def fraction(self) -> float:
        """The fraction of the requests or of the time that is used; the client stops at 1."""
        return max(self._taken / self.most, (monotonic_ns() - self._start_ns) / self._duration_ns)
