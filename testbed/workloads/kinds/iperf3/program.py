"""iperf3: the nodes' own program, as client in the source and server in the destination; all results are kept."""

from __future__ import annotations

import json
from time import monotonic_ns
from typing import TYPE_CHECKING, Any

from testbed.endpoint.patience import stall_ns
from testbed.workloads.programs import failed_with, failure

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from testbed.plan.workloads import Workload

_INTERVAL_S = 0.5
_CONNECT_NS = 127_000_000_000
"""How long Linux tries to set up a connection (net.ipv4.tcp_syn_retries)."""


_UNANSWERED = ("unable to read from stream socket", "control socket has closed unexpectedly")
_LOST = (
    "iperf3 begins over UDP with one datagram each way, and gives up after 30 s where one is lost: "
    "try again, or let the kind be udp-stream"
)


def _grace_ns(round_trip_ns: int) -> int:
    """Return the time that iperf3 may take in addition to sending: to connect, negotiate and exchange results."""
    return _CONNECT_NS + stall_ns(round_trip_ns)


class Server:
    """Reads iperf3 in the destination, which serves one client; see `testbed.workloads.programs.OutputReader`."""

    def __init__(self, workload: Workload, round_trip_ns: int) -> None:
        options = ["--server", "--one-off", "--forceflush", f"-{workload.family}", "--port", str(workload.port)]
        self.argv: Sequence[str] = ("iperf3", *options)
        self.lasts_ns = workload.number("duration_ns")
        self.timeout_ns = self.lasts_ns + 2 * _grace_ns(round_trip_ns)
        self._said: list[str] = []

    def line(self, line: str, at_ns: int) -> Iterator[Mapping[str, Any]]:
        """Yield every line, since the client does not learn all results, and `listening` when iperf3 listens."""
        self._said.append(line)
        yield {"event": "output", "at_ns": at_ns, "line": line}
        if "Server listening on" in line:
            yield {"event": "listening"}

    def end(self, status: int, stderr: str, at_ns: int) -> Iterator[Mapping[str, Any]]:  # noqa: ARG002
        """Yield an `end` or an `error`."""
        said = stderr or "\n".join(self._said)
        yield failed_with(self.argv, status, said) if status else {"event": "end"}


class Client:
    """Reads iperf3 in the source; see `testbed.workloads.programs.OutputReader`.

    The event `iperf3` contains its JSON document unchanged. Each of its intervals is also a `sample`, whose time counts
    from the program's start, since iperf3 reports absolute times only in seconds.
    """

    def __init__(self, workload: Workload, round_trip_ns: int) -> None:
        given = workload.parameters
        self.lasts_ns = workload.number("duration_ns")
        self.timeout_ns = self.lasts_ns + _grace_ns(round_trip_ns)
        options = ["--client", workload.address, f"-{workload.family}", "--port", str(workload.port), "--json"]
        options += ["--time", f"{self.lasts_ns / 1e9:g}", "--interval", f"{_INTERVAL_S:g}"]
        options += ["--parallel", str(given["streams"])]
        if given["protocol"] == "udp":
            options += ["--udp"]
        elif "congestion" in given:
            options += ["--congestion", str(given["congestion"])]
        if "rate_bps" in given:
            options += ["--bitrate", str(given["rate_bps"])]
        if "size_bytes" in given:
            options += ["--length", str(given["size_bytes"])]
        self.argv: Sequence[str] = ("iperf3", *options)
        self._hint = _LOST if given["protocol"] == "udp" else None
        self._started_ns = monotonic_ns()
        self._lines: list[str] = []

    def line(self, line: str, at_ns: int) -> Iterator[Mapping[str, Any]]:  # noqa: ARG002
        """Collect the line; all lines are one document."""
        self._lines.append(line)
        yield from ()

    def end(self, status: int, stderr: str, at_ns: int) -> Iterator[Mapping[str, Any]]:  # noqa: ARG002
        """Yield the document, the intervals, and an `end` or an `error`."""
        said = "\n".join(self._lines)
        try:
            document = json.loads(said)
        except ValueError:
            yield failed_with(self.argv, status, stderr or said)
            return
        try:
            if "error" in document or status:
                said = document.get("error", f"ended with status {status}")
                yield failure("command-failed", f"iperf3: {said}", self._hint if said.startswith(_UNANSWERED) else None)
                return
            samples = [*self._samples(document)]
        except (KeyError, TypeError, AttributeError) as error:
            yield failure("unknown-results", f"iperf3 gave results of a form that is not known: {error!r}")
            return
        yield {"event": "iperf3", "document": document}
        yield from samples
        yield {"event": "end"}

    def _samples(self, document: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        """Yield each interval as an event; raise KeyError or TypeError if the document has another form."""
        for interval in document["intervals"]:
            data = {name: value for name, value in interval["sum"].items() if isinstance(value, int | float)}
            yield {"event": "sample", "at_ns": self._started_ns + round(data["end"] * 1e9), "data": data}
