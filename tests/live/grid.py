"""Every kind of workload over a grid of delays, losses and families of IP, in both runtimes: what must hold however bad
the link is.

A cell is one short workload over a link of its own or, in the same lab, a link that cells of other kinds share. Nothing
here depends on the speed of the machine: bounds are one-sided, or statistical (a right testbed exceeds them once in a
million).
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product
from math import comb
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.errors import TestbedError
from testbed.lab import Lab
from testbed.metrics import METRICS
from testbed.topology import loads

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from testbed.workloads.summary import Summary

MS = 1_000_000
DELAYS_MS = (0, 1, 20, 40, 100, 300, 1000)
LOSSES = (0, 2, 20)
FAMILIES = (4, 6)
RUNTIMES = ("netns", "docker")
_RARE = 1e-6
_AT_ONCE = 40

PING = '[sh, -c, "ping -{family} -c 5 -i 0.2 -W 10 {server}; echo {{}}"]'
WORKLOADS = {
    "tcp-stream": "kind: tcp-stream, bytes: 20KB",
    "tcp-rr": "kind: tcp-rr, count: 3",
    "udp-stream": "kind: udp-stream, rate: 320kbit, size: 100B, duration: 1s",
    "tcp-rr-each": "kind: tcp-rr, count: 2, connect: each, tls: true",
    "tcp-messages": "kind: tcp-messages, rate: 16kbit, size: 100B, duration: 500ms",
    "udp-rr": "kind: udp-rr, count: 5",
    "quic": "kind: quic, rate: 16kbit, size: 100B, duration: 500ms",
    "http": "kind: http, count: 3, path: /1KB",
    "ping": "kind: ping, count: 20, interval: 20ms",
    "http-tls": "kind: http, count: 2, path: /1KB, tls: true, connect: each",
    "http2-tls": "kind: http, count: 4, path: /1KB, tls: true, version: 2, concurrency: 2",
    "dns-udp": "kind: dns, count: 3, query: www.test",
    "dns-tcp": "kind: dns, count: 2, query: www.test, transport: tcp",
    "iperf3": "kind: iperf3, duration: 1s",
    "command": f"kind: command, timeout: 600s, command: {PING}",
}
"""By a name of its own, each kind (some in two ways) with keys that make it short."""

SERVER_OF = {
    name: "web" if name.startswith("http") else "dns" if name.startswith("dns") else "node" for name in WORKLOADS
}
_IMAGES = {"node": "", "web": "image: testbed-nginx, ready: {tcp: 80}", "dns": "image: testbed-dnsmasq"}
_WEB_SERVER = Path(__file__).with_name("web_server.py")
_DNSMASQ = "dnsmasq --keep-in-foreground --conf-file=/dev/null --no-resolv --no-hosts --user=root --pid-file="
PROGRAMS = {
    "node": "",
    "web": f"command: [{sys.executable}, {_WEB_SERVER}], ready: {{tcp: 80}}",
    "dns": f"command: [sh, -c, 'exec {_DNSMASQ} --address=/www.test/192.0.2.1'], ready: {{tcp: 53}}",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One workload: which, over what link, in which runtime."""

    name: str
    delay_ms: int
    loss: int
    family: int
    runtime: str

    @property
    def server(self) -> str:
        return f"{SERVER_OF[self.name]}-{self.delay_ms}-{self.loss}"

    @property
    def workload(self) -> str:
        return f"{self.name}-{self.delay_ms}-{self.loss}-ip{self.family}"


def whole(runtime: str) -> list[Cell]:
    """All cells of a runtime."""
    return [
        Cell(name=name, delay_ms=delay_ms, loss=loss, family=family, runtime=runtime)
        for name, delay_ms, loss, family in product(WORKLOADS, DELAYS_MS, LOSSES, FAMILIES)
    ]


def pairwise(runtime: str) -> list[Cell]:
    """Of both runtimes' cells together, so many that each value of each factor meets each of any other."""
    chosen = (
        Cell(
            name=name,
            delay_ms=delay_ms,
            loss=LOSSES[(k + d) % 3],
            family=FAMILIES[(k + d // 2) % 2],
            runtime=RUNTIMES[(k // 3 + d) % 2],
        )
        for (k, name), (d, delay_ms) in product(enumerate(WORKLOADS), enumerate(DELAYS_MS))
    )
    return [cell for cell in chosen if cell.runtime == runtime]


def topology(cells: Iterable[Cell], ip: str = "both") -> str:
    """The file with all cells: a client, and a server behind each link that they need."""
    servers = {cell.server: cell for cell in cells}
    nodes, links, workloads = [], [], []
    for server, cell in servers.items():
        keys = (_IMAGES if cell.runtime == "docker" else PROGRAMS)[SERVER_OF[cell.name]]
        nodes.append(f"  {server}: {{{keys}}}")
        links.append(f"  - {{between: [client, {server}], delay: {cell.delay_ms}ms, loss: {cell.loss}%}}")
    for cell in cells:
        keys = WORKLOADS[cell.name].format(server=cell.server, family=cell.family)
        ends = f"from: client, to: {cell.server}, family: {cell.family}"
        ends = "in: client" if cell.name == "command" else ends
        workloads.append(f"      - {{name: {cell.workload}, {ends}, {keys}}}")
    head = ["name: grid", f"ip: {ip}", "nodes:", "  client:"]
    return "\n".join([*head, *nodes, "links:", *links, "workloads:", "  - together:", *workloads])


def run(cells: Iterable[Cell], lab_name: str) -> list[str]:
    """Carry all cells out in one lab, many at a time; what is wrong with any of them."""
    cells = list(cells)
    lab = Lab.up(loads(topology(cells), "grid.yml"), name=lab_name, runtime=cells[0].runtime)
    # The farthest first: they take longest.
    cells.sort(key=lambda cell: (cell.delay_ms, cell.loss), reverse=True)
    with lab, ThreadPoolExecutor(_AT_ONCE) as pool:
        return [wrong for found in pool.map(lambda cell: problems_of(cell, lab), cells) for wrong in found]


def problems_of(cell: Cell, lab: Lab) -> list[str]:
    """Carry a cell out; what is wrong with it."""
    try:
        summary = lab.run_workload(cell.workload)
    except TestbedError as error:
        return [f"{cell.workload} in {cell.runtime}: {error.code}: {error.message}"]
    return [f"{cell.workload} in {cell.runtime}: {wrong}" for wrong in wrong_figures(cell, summary)]


def wrong_figures(cell: Cell, summary: Summary) -> Iterator[str]:
    """What can't be true of a workload over the cell's link."""
    figure = Figures(summary)
    if {*summary.values, *summary.missing} != {name for name, one in METRICS.items() if summary.kind in one.kinds}:
        yield f"it has not the metrics of its kind: {summary}"
    for name, least_ns in least(cell).items():
        if not least_ns <= (found := figure(name)):
            yield f"{name} is {found}, less than {least_ns}"
    for name, value in exactly(cell, figure).items():
        if (found := figure(name)) != value:
            yield f"{name} is {found}, not {value}"
    if (lossy := SENT_AND_LOST.get(cell.name)) is not None:
        sent, tries = lossy
        lost = figure("lost") - (figure("late") if cell.name == "udp-rr" else 0)
        one_way = cell.loss / 100
        chance = one_way if cell.name == "udp-stream" else (1 - (1 - one_way) ** 2) ** tries
        if not is_likely(lost, sent, chance):
            yield f"{lost} of {sent} are lost; each is with a probability of {chance:.3g}"


def least(cell: Cell) -> dict[str, int]:
    """Times that no workload of the cell can be faster than, ns."""
    one_way = cell.delay_ms * MS
    trip = 2 * one_way
    return {
        "tcp-stream": {"setup_ns": trip, "first_byte_ns": trip + one_way, "rtt_min_ns": trip},
        "tcp-rr": {"setup_ns": trip, "latency_min_ns": trip, "rtt_min_ns": trip},
        "tcp-rr-each": {"setup_ns": 2 * trip, "tls_ns": trip, "latency_min_ns": 3 * trip},
        "tcp-messages": {"setup_ns": trip, "latency_min_ns": one_way},
        "quic": {"setup_ns": trip, "latency_min_ns": one_way},
        "http": {"setup_ns": trip, "latency_min_ns": trip, "ttfb_p50_ns": trip},
        "http-tls": {"tls_ns": trip, "latency_min_ns": 3 * trip},
        "http2-tls": {"tls_ns": trip, "latency_min_ns": trip},
        "dns-tcp": {"setup_ns": trip},
        "iperf3": {"sent_bytes": 1},
        "command": {},
    }.get(cell.name, {"latency_min_ns": one_way if cell.name == "udp-stream" else trip})


def exactly(cell: Cell, figure: Figures) -> dict[str, float]:
    """Figures of which the value is known: what is reliable is whole, and nothing is counted that was not sent."""
    if cell.name == "tcp-stream":
        return {"sent_bytes": 20_000, "delivered_bytes": 20_000, "connections": 1}
    if cell.name == "command":
        return {"samples": 1}
    if cell.name == "iperf3":
        return {}
    if cell.name == "dns-tcp":
        return {"sent": 2, "delivered": 2 - figure("lost"), "error_answers": 0}
    if cell.name in SENT_AND_LOST:
        return {"sent": SENT_AND_LOST[cell.name][0], "delivered": figure("sent") - figure("lost")}
    sent = {"tcp-rr": 3, "tcp-rr-each": 2, "tcp-messages": 10, "quic": 10, "http": 3, "http-tls": 2, "http2-tls": 4}
    count = sent[cell.name]
    whole: dict[str, float] = {"sent": count, "delivered": count}
    return {**whole, "failed": 0, "delivered_bytes": 1000 * count} if cell.name.startswith("http") else whole


SENT_AND_LOST = {"udp-stream": (400, 1), "udp-rr": (5, 1), "ping": (20, 1), "dns-udp": (3, 3)}
"""Of what is not reliable how much is sent, and how often it may be sent before it counts as lost."""


class Figures:
    """Figures of a summary; what is missing is 0, which no bound allows but one that is 0."""

    def __init__(self, summary: Summary) -> None:
        self._summary = summary

    def __call__(self, name: str) -> float:
        return self._summary.number(name) or 0


def is_likely(lost: float, sent: int, chance: float) -> bool:
    """Whether so many losses, or ones further from the mean, happen more often than once in a million times."""
    weights = [comb(sent, k) * chance**k * (1 - chance) ** (sent - k) for k in range(sent + 1)]
    return sum(weights[: round(lost) + 1]) > _RARE and sum(weights[round(lost) :]) > _RARE
