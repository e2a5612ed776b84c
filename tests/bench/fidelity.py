"""Whether links are what was asked for, by tools that are not ours: `python -m tests.bench.fidelity`, as root.

Each cell of a grid of impairments is one link (or a link and its way back) between two nodes of their own,
measured by ping, irtt, iperf3 and tcpdump; the error is what they say less what was asked. Here with the userspace
engine, and in a guest whose kernel has netem (tests/guest) with both engines. Writes docs/fidelity.md. Each of the two
parts can be measured by itself: what was found is kept in docs/fidelity/measured.json, and the page is made of it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from testbed import topology
from testbed.impairments.distributions import SCALE, quantiles
from testbed.lab import Lab
from testbed.statistics import clopper_pearson
from tests.bench.arrivals import stream_bps

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "fidelity.md"
MEASURED = ROOT / "docs" / "fidelity" / "measured.json"
GUEST_LIMIT_S = 1500
FRAME, PAYLOAD = 1514, 1472
GUEST_RATE_MBIT = 5
"""The guest's processor is emulated: it takes some 20 mbit/s at most."""
AT_ONCE = 4
ATTEMPTS = 3

DELAY_GOAL_MS = 0.3
_TABLE = quantiles("paretonormal")
PARETONORMAL_QUARTILES = (_TABLE[3 * len(_TABLE) // 4] - _TABLE[len(_TABLE) // 4]) / SCALE
DELAYS_MS = (1, 5, 20, 50, 100, 300)
JITTERS = (
    ("20ms", "{spread: 5ms, order: ORDER}", 5.0),
    ("50ms", "{spread: 5ms, distribution: normal, order: ORDER}", 6.745),
    ("100ms", "{spread: 20ms, distribution: paretonormal, order: ORDER}", 20 * PARETONORMAL_QUARTILES),
)
LOSSES = (0.1, 0.3, 1, 3, 10, 30)
BURSTS = ((1, 2), (2, 4), (5, 8), (10, 5))
QUEUE_MBIT = 10
RATES_MBIT = (
    (0.1, "10 packets"),
    (1, "10 packets"),
    *((rate, "100ms") for rate in (5, 20, 100, 200, 500)),
    *((rate, "50ms") for rate in (1000, 2500, 5000, 10_000)),
)
DATAGRAMS_MOST_MBIT = 200
"""Up to this rate datagrams measure a rate, above it TCP, whose sender hands over many packets as one frame."""
QUEUES_MS = (10, 50, 200, 1000)


INTRODUCTION = """\
# Fidelity: requested impairments, and what independent tools measure

Made by `make fidelity` (tests/bench/fidelity.py).

- delay: half the median of 300 round trips of ping, timed by tcpdump, both directions impaired. Goal: 0.3 ms.
- jitter: the interquartile range of irtt's one-way delay; its sampling error is some percent at 400 samples.
- loss: 10,000 pings (4,000 in the guest) of which tcpdump sees those that arrive. Goal: the requested share is
  within the 99 % interval (in parentheses) of the measured one; one correct cell in a hundred is not.
- bursts: the same for the mean number of packets lost in a row.
- rate: iperf3 sends a tenth more than the link carries, tcpdump times the packets that arrive. Above 200 mbit/s iperf3
  sends four TCP streams, and the rate is the median over 50 ms each, with all headers. Goal: 1 %.
- queue: by how much a ping takes longer while iperf3 keeps the queue full. Goal: two frames and 2 %.
"""


@dataclass(frozen=True)
class Cell:
    """A row of the table: impairments (a link in YAML), and how one property of it is measured."""

    kind: str
    impairments: str
    tool: str
    value: float
    unit: str
    both_ways: bool = False
    pings: int = 10_000
    mbit: int = QUEUE_MBIT


@dataclass(frozen=True)
class Found:
    """What was measured. `within` is whether that meets the goal, None where there is no goal."""

    cell: Cell
    engine: str
    measured: float
    error: str
    within: bool | None
    note: str = ""


def grid(engine: str, *, guest: bool = False) -> list[Cell]:
    """All that is measured, or as much of it as the guest can bear."""
    pings, mbit = (4_000, 2) if guest else (10_000, QUEUE_MBIT)
    rates = [each for each in RATES_MBIT if not guest or each[0] <= GUEST_RATE_MBIT]
    order = "free" if engine == "netem" else "keep"
    return [
        *(Cell("delay", f"delay: {each}ms", "ping, tcpdump", each, "ms", both_ways=True) for each in DELAYS_MS),
        *(
            Cell("jitter", f"delay: {delay}, jitter: {spread.replace('ORDER', order)}", "irtt", deviation, "ms")
            for delay, spread, deviation in JITTERS
        ),
        *(Cell("loss", f"delay: 5ms, loss: {each}%", "ping, tcpdump", each, "%", pings=pings) for each in LOSSES),
        *(
            Cell(
                "bursts",
                f"delay: 5ms, loss: {{rate: {rate}%, burst: {burst}}}",
                "ping, tcpdump",
                burst,
                "packets",
                pings=pings,
            )
            for rate, burst in BURSTS
        ),
        *(
            Cell(
                "rate", f"delay: 5ms, rate: {round(each * 1000)}kbit, queue: {depth}", "iperf3, tcpdump", each, "mbit/s"
            )
            for each, depth in rates
        ),
        *(
            Cell("queue", f"delay: 5ms, rate: {mbit}mbit, queue: {each}ms", "iperf3, ping", each, "ms", mbit=mbit)
            for each in QUEUES_MS
            if each * mbit * 1000 >= 5 * 8 * FRAME  # a few frames
        ),
    ]


@contextmanager
def lab(cells: Sequence[Cell], engine: str) -> Iterator[Lab]:
    """Two nodes per cell, `a0` and `b0` and so on, on a network of their own."""
    lines = ["name: fidelity", "networks:"]
    lines += [f"  n{number}:" for number in range(len(cells))]
    lines += ["nodes:"]
    lines += [f"  {side}{number}: {{networks: [n{number}]}}" for number in range(len(cells)) for side in "ab"]
    lines += ["links:"]
    for number, cell in enumerate(cells):
        ends = f"between: [a{number}, b{number}]" if cell.both_ways else f"from: a{number}, to: b{number}"
        lines.append(f"  - {{{ends}, {cell.impairments}}}")
    loaded = topology.loads("\n".join(lines), "fidelity")
    with Lab.up(loaded, name=f"fidelity-{engine}", runtime="netns", engine=engine) as up:
        yield up


class Pair:
    """The two nodes of a cell."""

    def __init__(self, up: Lab, number: int) -> None:
        self.a, self.b = up[f"a{number}"], up[f"b{number}"]
        self.address = up.plan.node(f"b{number}").interfaces[0].address

    def output(self, side: str, *argv: str) -> str:
        """What a command says, whatever its exit status."""
        return (self.a if side == "a" else self.b).run(argv).stdout

    @contextmanager
    def meanwhile(self, side: str, *argv: str) -> Iterator[list[str]]:
        """A command in the background, that ends by itself; its output is there afterwards."""
        said: list[str] = []
        thread = threading.Thread(target=lambda: said.append(self.output(side, *argv)))
        thread.start()
        time.sleep(0.7)
        yield said
        thread.join()

    def iperf3(self, seconds: float, *options: str) -> None:
        """Traffic from a to b; the client tries again until the server listens, and neither waits forever."""
        patiently = 'for _ in 1 2 3 4 5; do iperf3 "$@" && break; sleep 1; done'
        with self.meanwhile("b", "timeout", f"{seconds + 15:.0f}", "iperf3", "-s", "-1"):
            self.output("a", "sh", "-c", patiently, "sh", "-c", self.address, "-t", f"{seconds:.0f}", *options)

    def flood(self, seconds: float, bits: float, size: int = PAYLOAD) -> None:
        """UDP datagrams at a rate, from a to b."""
        self.iperf3(seconds, "-u", "-b", f"{bits:.0f}", "-l", str(size))


def round_trips_ms(text: str) -> list[float]:
    """What ping prints."""
    return [float(value) for value in re.findall(r" time=([\d.]+) ms", text)]


def irtt(pair: Pair, interval: str, seconds: int) -> list[dict[str, int]]:
    """The delays that irtt measures, ns: `rtt`, `send` (a to b; both have the same clock) and `receive`."""
    server = f"{pair.address}:2112"
    with pair.meanwhile("b", "timeout", f"{seconds + 8}", "irtt", "server", "-b", server):
        text = pair.output("a", "irtt", "client", "-i", interval, "-d", f"{seconds}s", "-Q", "-o", "-", server)
    trips = json.loads(text[text.index("{") :])["round_trips"]
    return [trip["delay"] for trip in trips if {"rtt", "send"} <= trip.get("delay", {}).keys()]


def delay(cell: Cell, pair: Pair) -> tuple[float, str, bool, str]:
    """Half the median round trip, of which the both ways are impaired alike, as tcpdump sees it at the sender."""
    with captured(pair, "a", "icmp") as said:
        pair.output("a", "ping", "-q", "-n", "-i", "0.01", "-c", "300", pair.address)
    times = {
        kind: {
            number: float(at)
            for at, number in re.findall(rf"^(\S+) .* echo {kind}, .* seq (\d+)", said[0], re.MULTILINE)
        }
        for kind in ("request", "reply")
    }
    trips = [at - times["request"][number] for number, at in times["reply"].items()]
    measured = 1000 * statistics.median(trips) / 2
    return measured, f"{measured - cell.value:+.3f} ms", abs(measured - cell.value) <= DELAY_GOAL_MS, ""


def jitter(cell: Cell, pair: Pair) -> tuple[float, str, None, str]:
    """The distance of the quartiles of the one-way delay; probes are so far apart that none holds up another."""
    trips = irtt(pair, "100ms", 40)
    low, _, high = statistics.quantiles((trip["send"] / 1e6 for trip in trips), n=4)
    return high - low, f"{100 * ((high - low) / cell.value - 1):+.1f} %", None, f"n = {len(trips)}"


@contextmanager
def captured(pair: Pair, side: str, what: str) -> Iterator[list[str]]:
    """What tcpdump sees meanwhile, a line per packet that begins with its time, s."""
    with pair.meanwhile(side, "tcpdump", "-nn", "-tt", "-l", "-i", "eth0", what) as said:
        yield said
        pair.output(side, "timeout", "30", "sh", "-c", "until pkill tcpdump; do sleep 0.2; done")  # of its node only


def arrived(pair: Pair, pings: int) -> list[bool]:
    """Of so many pings, which arrive, as tcpdump sees them, from the first that it saw: it may start late."""
    with captured(pair, "b", "icmp[icmptype] == icmp-echo") as said:
        pair.output("a", "ping", "-q", "-n", "-i", "0.002", "-c", str(pings), "-W", "1", pair.address)
    seen = {int(number) for number in re.findall(r"echo request, id \d+, seq (\d+)", said[0])}
    return [number in seen for number in range(min(seen) + 1, pings + 1)]


def loss(cell: Cell, pair: Pair) -> tuple[float, str, bool, str]:
    """The share that is lost, and the 99 % interval of that."""
    fates = arrived(pair, cell.pings)
    lost = fates.count(False)
    low, high = (100 * bound for bound in clopper_pearson(lost, len(fates), 0.99))
    measured = 100 * lost / len(fates)
    return measured, f"{measured - cell.value:+.3f} %", low <= cell.value <= high, f"{low:.3g} to {high:.3g} %"


def bursts(cell: Cell, pair: Pair) -> tuple[float, str, bool, str]:
    """The mean length of a burst; each packet that is lost ends one with the same probability."""
    fates = arrived(pair, cell.pings)
    lost, runs = fates.count(False), sum(not fate for fate, _ in groupby(fates))
    low, high = clopper_pearson(runs, lost, 0.99)
    measured = lost / runs
    within = 1 / high <= cell.value <= 1 / low
    note = f"{1 / high:.3g} to {1 / low:.3g}; {100 * lost / len(fates):.2f} % lost"
    return measured, f"{measured - cell.value:+.2f}", within, note


def rate(cell: Cell, pair: Pair) -> tuple[float, str, bool, str]:
    """Frames per time of what arrives, of more than the link carries: the median over pairs half of the time apart."""
    if cell.value > DATAGRAMS_MOST_MBIT:
        return _stream_rate(cell, pair)
    seconds = 8 if cell.value < 1 else 4
    sniff = ("timeout", f"{seconds + 6}", "tcpdump", "-nn", "-tt", "-s", "60", "-B", "65536", "-i", "eth0", "-w", "-")
    capture = f"{' '.join(sniff)} 'udp and greater {PAYLOAD}' | tcpdump -nn -tt -r - 2>/dev/null"
    with pair.meanwhile("b", "sh", "-c", capture) as said:
        pair.flood(seconds, cell.value * 1.1e6)
    times = [float(line.split(" ", 1)[0]) for line in said[0].splitlines() if line[:1].isdigit()]
    half = len(times) // 2
    gap = statistics.median(times[place + half] - times[place] for place in range(half))
    measured = 8e-6 * FRAME * half / gap
    error = 100 * (measured / cell.value - 1)
    payload = f"payload {measured * PAYLOAD / FRAME:.4g} mbit/s"
    return measured, f"{error:+.2f} %", abs(error) <= 1, payload


def _stream_rate(cell: Cell, pair: Pair) -> tuple[float, str, bool, str]:
    """Bits per time of the TCP that arrives, which the link holds back."""
    sniff = "timeout 9 tcpdump -nn -tt -s 96 -B 65536 -i eth0 'tcp dst port 5201' 2>/dev/null"
    with pair.meanwhile("b", "sh", "-c", sniff) as said:
        pair.iperf3(5, "-P", "4")
    measured = stream_bps(said[0]) / 1e6
    error = 100 * (measured / cell.value - 1)
    return measured, f"{error:+.2f} %", abs(error) <= 1, "TCP"


def queue(cell: Cell, pair: Pair) -> tuple[float, str, bool, str]:
    """How much longer than on the idle link a ping takes that found room in the queue while more comes than goes."""
    idle = statistics.median(round_trips_ms(pair.output("a", "ping", "-n", "-i", "0.02", "-c", "50", pair.address)))
    filled = 2.5 * cell.value / 1000  # at one and a half times the rate
    with ThreadPoolExecutor(1) as pool:
        load = pool.submit(pair.flood, filled + 6, cell.mbit * 1.5e6)
        time.sleep(filled + 2.5)
        trips = round_trips_ms(pair.output("a", "ping", "-n", "-i", "0.02", "-w", "3", pair.address))
        load.result()
    measured = statistics.median(trip - idle for trip in trips)
    frame_ms = 8e-3 * FRAME / cell.mbit
    within = abs(measured - cell.value) <= 2 * frame_ms + 0.02 * cell.value
    return measured, f"{(measured - cell.value) / frame_ms:+.1f} frames", within, ""


MEASURES: dict[str, Callable[[Cell, Pair], tuple[float, str, bool | None, str]]] = {
    "delay": delay,
    "jitter": jitter,
    "loss": loss,
    "bursts": bursts,
    "rate": rate,
    "queue": queue,
}
TOGETHER = ("jitter", "loss", "bursts")
"""Kinds of which several are measured at once: their figures don't depend on when exactly a packet comes."""


def patiently(cell: Cell, pair: Pair) -> tuple[float, str, bool | None, str]:
    """Measure a cell, again if a tool saw nothing: on a busy machine some start too late. Whatever it saw counts."""
    for _ in range(ATTEMPTS - 1):
        with suppress(ValueError, ZeroDivisionError):  # of no values there is no median
            return MEASURES[cell.kind](cell, pair)
    return MEASURES[cell.kind](cell, pair)


def measure(engine: str, *, guest: bool = False) -> Iterator[Found]:
    """The whole grid with one engine."""
    cells = grid(engine, guest=guest)
    with lab(cells, engine) as up:

        def one(number: int) -> Found:
            cell = cells[number]
            measured, error, within, note = patiently(cell, Pair(up, number))
            found = Found(cell, engine, measured, error, within, note)
            print(
                f"  {engine:<9} {cell.kind:<7} {cell.impairments:<80} {measured:10.4g} {error:>12} {note}",
                file=sys.stderr,
            )
            return found

        for kind in MEASURES:
            numbers = [number for number, cell in enumerate(cells) if cell.kind == kind]
            with ThreadPoolExecutor(AT_ONCE if kind in TOGETHER else 1) as pool:
                yield from pool.map(one, numbers)


def machine() -> str:
    """What it ran on."""
    model = "?"
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            model = line.partition(": ")[2]
    return f"{model}, {os.cpu_count()} CPUs, Linux {platform.release()}"


def part(engines: Sequence[str], *, guest: bool = False) -> dict[str, Any]:
    """All that is measured on one machine: what that is, the day, the load before and after, and what was found."""
    before = os.getloadavg()[0]
    found = [asdict(each) for engine in engines for each in measure(engine, guest=guest)]
    day = time.strftime("%Y-%m-%d", time.gmtime())
    return {"machine": machine(), "day": day, "load": [before, os.getloadavg()[0]], "found": found}


def in_guest() -> dict[str, Any]:
    """The same in the guest, with both engines; the load is that of the machine which runs it."""
    guest = Path(os.environ.get("GUEST_DIR", Path.home() / ".cache" / "testbed-guest"))
    inside = (sys.executable, "-m", "tests.bench.fidelity", "--in-guest", "/run/out/fidelity.json")
    boot = (ROOT / "tests/guest/run-guest.sh", "-m", "1G", "-t", str(GUEST_LIMIT_S), "--")
    before = os.getloadavg()[0]
    subprocess.run([*boot, *inside], cwd=ROOT, env={**os.environ, "GUEST_DIR": str(guest)}, check=True)
    told: dict[str, Any] = json.loads((guest / "out" / "fidelity.json").read_text(encoding="utf-8"))
    return told | {"load": [before, os.getloadavg()[0]]}


PARTS: dict[str, Callable[[], dict[str, Any]]] = {"here": lambda: part(["userspace"]), "guest": in_guest}


def table(found: Sequence[Found]) -> Iterator[str]:
    """A Markdown table."""
    yield "| | requested | measured by | measured | error | within the goal |"
    yield "|---|---|---|---|---|---|"
    for each in found:
        cell = each.cell
        within = {True: "yes", False: "**no**", None: ""}[each.within]
        note = f" ({each.note})" if each.note else ""
        measured = f"{each.measured:.4g} {cell.unit}{note}"
        yield f"| {cell.kind} | `{cell.impairments}` | {cell.tool} | {measured} | {each.error} | {within} |"


def summary(found: Sequence[Found]) -> str:
    """How many of the cells that have a goal meet it."""
    goals = [each for each in found if each.within is not None]
    return f"{sum(each.within is True for each in goals)} of {len(goals)} cells with a goal are within it."


def document(measured: dict[str, dict[str, Any]]) -> str:
    """The page of all parts that were measured."""
    lines = [INTRODUCTION]
    for name, where in ((name, measured[name]) for name in PARTS if name in measured):
        all_found = [Found(**{**each, "cell": Cell(**each["cell"])}) for each in where["found"]]
        for engine in dict.fromkeys(each.engine for each in all_found):
            found = [each for each in all_found if each.engine == engine]
            before, after = where["load"]
            lines += [
                f"## Engine {engine}{', in the guest' if name == 'guest' else ''}",
                "",
                f"{where['machine']}, {where['day']}, load {before:.1f} before and {after:.1f} after. {summary(found)}",
                "",
                *table(found),
                "",
            ]
    return "\n".join(lines)


def main() -> None:
    """Measure, keep what was found, and write the page."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.fidelity", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all unless given")
    parser.add_argument(
        "--in-guest", type=Path, metavar="FILE", help="measure in this guest, and write it to a file only"
    )
    options = parser.parse_args()
    if options.in_guest:
        options.in_guest.write_text(json.dumps(part(["userspace", "netem"], guest=True)), encoding="utf-8")
        return
    if unknown := set(options.parts) - PARTS.keys():
        parser.error(f"there is no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    MEASURED.parent.mkdir(exist_ok=True)
    measured = json.loads(MEASURED.read_text(encoding="utf-8")) if MEASURED.exists() else {}
    for name in options.parts or PARTS:
        measured[name] = PARTS[name]()
        MEASURED.write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")
        DOCUMENT.write_text(document(measured), encoding="utf-8")
    print("\n".join(line for line in DOCUMENT.read_text(encoding="utf-8").splitlines() if "within it" in line))


if __name__ == "__main__":
    main()
