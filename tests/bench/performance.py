"""What labs cost, beside other tools, as a page with charts: `python -m tests.bench.performance [PART ...]`, as root.

Writes docs/performance.md. Each part can be measured by itself: figures are kept in docs/performance/measured.json,
with the load average at each, and the page is made of all that are there.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import vl_convert

from tests.bench import bench_bringup, bench_containers, bench_filters, bench_throughput
from tests.bench.bench_bringup import EACH_LINK, PLAIN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "performance.md"
FOLDER = ROOT / "docs" / "performance"
MEASURED = FOLDER / "measured.json"
MANY = 1000
"""Nodes from which on the memory of one is worth saying: what else a machine does moves its free memory too."""

FEW, CONTAINERS, FLOOR_MARGIN = 2, 50, 1.1

Figure = dict[str, Any]


def bringup(what: str) -> Iterator[Figure]:
    """Labs of network namespaces, or of containers, from few nodes to many."""
    for race in bench_bringup.races():
        if (race.runtime, race.what) != {"netns": ("netns", PLAIN), "impaired": ("netns", EACH_LINK)}.get(
            what, ("docker", PLAIN)
        ):
            continue
        if race.lacks:
            print(f"skipped: {race.lacks}")
            continue
        if race.peer_lacks:
            print(f"skipped: {race.peer_name}: {race.peer_lacks}")
        for found in bench_bringup.results(race):
            for who, took in (("testbed", found.ours), (race.peer_name, found.peer)):
                if took:
                    yield {"who": who, "nodes": found.nodes, "rounds": found.rounds, **took._asdict()}


PARTS: dict[str, Callable[[], Iterator[Figure]]] = {
    "netns": lambda: bringup("netns"),
    "impaired": lambda: bringup("impaired"),
    "docker": lambda: bringup("docker"),
    "floor": bench_containers.measure,
    "filters": bench_filters.measure,
    "throughput": bench_throughput.measure,
    "guest": bench_throughput.measure_in_guest,
}


@dataclass(frozen=True)
class Goal:
    """A goal of the project: a figure is at most `limit`, or at least where `more` is better."""

    what: str
    part: str
    figure: str
    limit: float
    unit: str
    of: dict[str, Any]
    more: bool = False

    def reached(self, value: float) -> bool:
        """Whether a figure is as good as the goal."""
        return value >= self.limit if self.more else value <= self.limit

    def found(self, measured: dict[str, list[Figure]]) -> Figure | None:
        """The figure as measured, with all that was measured with it; None where it was not."""
        for each in measured.get(self.part, []):
            if all(each.get(key) == value for key, value in self.of.items()):
                return each
        return None

    def value(self, found: Figure) -> float:
        """The figure that the goal is about."""
        value = float(found[self.figure])
        return value / found["nodes"] / 2**20 if self.figure == "memory" else value


OURS = {"who": "testbed"}
TCP = {"what": "TCP"}
LOSS, RATE = bench_throughput.MORE
OF_5_GBIT = 5000 * 1448 / 1514 * 0.95
"""The payload of full frames at that rate, less a twentieth of the time, in which TCP starts."""

GOALS = (
    Goal("1,000 netns nodes with an impaired link each, up", "impaired", "up", 8, "s", OURS | {"nodes": 1000}),
    Goal("the same, down", "impaired", "down", 2, "s", OURS | {"nodes": 1000}),
    Goal("4,000 plain netns nodes, up", "netns", "up", 20, "s", OURS | {"nodes": 4000}),
    Goal("the same, down", "netns", "down", 2, "s", OURS | {"nodes": 4000}),
    Goal("memory per idle node, of 4,000", "netns", "memory", 1, "MB", OURS | {"nodes": 4000}),
    Goal("TCP with 5 ms each way", "throughput", "rate", 8000, "Mbit/s", TCP | {"who": "userspace"}, more=True),
    Goal("the same, with loss", "throughput", "rate", 8000, "Mbit/s", TCP | {"who": f"userspace, {LOSS}"}, more=True),
    Goal(
        "the same, with a rate of 5 Gbit/s",
        "throughput",
        "rate",
        OF_5_GBIT,
        "Mbit/s",
        TCP | {"who": f"userspace, {RATE}"},
        more=True,
    ),
)


def goals(measured: dict[str, list[Figure]]) -> Iterator[str]:
    """The lines of the table of goals."""
    yield "| goal | | measured | reached | load before |\n|---|---|---|---|---|"
    for goal in (*GOALS, *beside(measured)):
        found = goal.found(measured)
        said, reached, load = "not measured", "", ""
        if found and found[goal.figure]:
            value = goal.value(found)
            said, reached = f"{rounded(value)} {goal.unit}", "yes" if goal.reached(value) else "no"
            load = f"{found['load']:.1f}"
        limit = f"{'at least' if goal.more else 'at most'} {rounded(goal.limit)} {goal.unit}"
        yield f"| {goal.what} | {limit} | {said} | {reached} | {load} |"


def beside(measured: dict[str, list[Figure]]) -> Iterator[Goal]:
    """The goals that others set, as measured in the same run."""
    for each in measured.get("netns", []):
        if each["who"] == "Mininet" and each["nodes"] == FEW:
            yield Goal("2 netns nodes, up: as fast as Mininet", "netns", "up", each["up"], "s", OURS | {"nodes": FEW})
    for each in measured.get("floor", []):
        if each["nodes"] == CONTAINERS:
            limit = each["up"] * FLOOR_MARGIN
            yield Goal(
                "50 containers, up: at the floor, within a tenth", "docker", "up", limit, "s", OURS | {"nodes": 50}
            )


def rounded(value: float) -> str:
    """A figure with three digits, or all before the decimal point."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def table(figures: list[Figure], columns: dict[str, str]) -> str:
    """A table of figures: the heading of each column by the name of its figure."""
    lines = ["| " + " | ".join(columns.values()) + " |", "|---" * len(columns) + "|"]
    for figure in figures:
        cells = (said(figure, name) for name in columns)
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def said(figure: Figure, name: str) -> str:
    """A figure, as people read it."""
    value = figure.get(name, "")
    if name == "cpu" and not value:
        return "not known"
    if name == "memory":
        return f"{value / figure['nodes'] / 1024:,.0f} kB" if value and figure["nodes"] >= MANY else ""
    if isinstance(value, float):
        return f"{value:.2f}" if value < 100 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


BRINGUP_COLUMNS = {
    "who": "",
    "nodes": "nodes",
    "rounds": "rounds",
    "load": "load before",
    "up": "up, s",
    "cpu": "processor time to come up, s",
    "down": "down, s",
    "memory": "memory per node",
}
NODES, UP = ("nodes", "nodes"), ("up", "seconds to come up")


class Section(NamedTuple):
    """A section of the page: what a part has measured.

    Attributes:
        part: its name.
        title, introduction: of the section.
        columns: of its table, heading by figure.
        axes: of its chart, each with the figure and its title; None for no chart.
    """

    part: str
    title: str
    introduction: str
    columns: dict[str, str]
    axes: tuple[tuple[str, str], tuple[str, str]] | None = None


FLOOR_COLUMNS = {
    "who": "",
    "nodes": "containers",
    "at_once": "in parallel",
    "load": "load before",
    "up": "up, s",
    "down": "down, s",
}
FILTER_COLUMNS = {
    "nodes": "senders with a link to the port",
    "who": "datagrams from",
    "load": "load before",
    "rules": "rules at the port",
    "rate": "arrive per second",
    "cost": "sender's processor time each, us",
}
RATE_COLUMNS = {"who": "link", "what": "traffic", "load": "load before", "rate": "received", "unit": ""}
SECTIONS = (
    Section(
        "netns",
        "Network namespaces, beside Mininet",
        """Nodes on one Linux bridge, on one for each thousand; no links impaired. The time is that of the whole
command, from its start to its end. Mininet's is until its network stands.""",
        BRINGUP_COLUMNS,
        (NODES, UP),
    ),
    Section(
        "impaired",
        "Network namespaces with a link of each node impaired",
        """The links from the first node to all others have a delay of 5 ms each, by the engine that `auto` takes.""",
        BRINGUP_COLUMNS,
        (NODES, UP),
    ),
    Section(
        "docker",
        "Containers, beside docker-compose",
        """Containers of the testbed's image on one network. The processor time is that of the command and the lab's
agent, not the Docker Engine's.""",
        BRINGUP_COLUMNS,
        (NODES, UP),
    ),
    Section(
        "floor",
        "Containers, by the Docker Engine alone",
        """Containers of the same image, made and started over its API in parallel, on a network of their own, and
nothing else: no program that has it make containers can be faster.""",
        FLOOR_COLUMNS,
    ),
    Section(
        "filters",
        "Rules at a port",
        """Datagrams of 64 bytes to one node, sent as fast as possible by iperf3: from a node whose link is not
impaired, whose packets pass the rules at the receiver's port and nothing else, and from the last of so many nodes with
an impaired link, whose packets cross the link as well. The rules are looked up in the sender's processor time.""",
        FILTER_COLUMNS,
        (("nodes", "senders with a link to the port"), ("cost", "us of the sender for each datagram")),
    ),
    Section(
        "throughput",
        "Throughput across a link, beside none",
        """What iperf3 receives between two nodes without a link impaired, and with 5 ms each way. TCP is one flow with
the machine's congestion control and windows of up to 64 MB. Loss and rate are in the direction of the data.""",
        RATE_COLUMNS,
    ),
    Section(
        "guest",
        "The same in a guest whose kernel has netem",
        """User Mode Linux on one processor, which emulates: compare these with each other only.""",
        RATE_COLUMNS,
    ),
)


def chart(section: Section, figures: list[Figure]) -> str:
    """Draw a chart of cost against size, a line for each tool; return the Markdown that shows it."""
    assert section.axes
    (x, x_title), (y, y_title) = section.axes
    scale = {"type": "symlog" if any(each[x] == 0 for each in figures) else "log"}
    spec = {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "background": "white",
        "width": 560,
        "height": 300,
        "data": {"values": figures},
        "mark": {"type": "line", "point": True},
        "encoding": {
            "x": {"field": x, "type": "quantitative", "scale": scale, "title": x_title},
            "y": {"field": y, "type": "quantitative", "scale": {"type": "log"}, "title": y_title},
            "color": {"field": "who", "type": "nominal", "title": None},
        },
    }
    (FOLDER / f"{section.part}.svg").write_text(vl_convert.vegalite_to_svg(spec), encoding="utf-8")
    return f"![{section.title}](performance/{section.part}.svg)"


def page(measured: dict[str, Any]) -> str:
    """The page of all that was measured."""
    where = measured["where"]
    introduction = f"""Made by `make performance` (tests/bench/performance.py), {where["day"]}, on {where["machine"]}.
Each figure is the median of its rounds, ours and the peer's in turn, with the load average of the machine before it: on
a machine that does other work too, processor time says more than the time that passes.
"""
    parts = ["# Performance: what labs cost, beside other tools\n", introduction, "## Goals\n"]
    parts += ["\n".join(goals(measured["parts"])), ""]
    for section in SECTIONS:
        if figures := measured["parts"].get(section.part):
            parts += [f"## {section.title}\n", section.introduction + "\n"]
            if section.axes:
                parts += [chart(section, figures) + "\n"]
            parts += [table(figures, section.columns), ""]
    parts += ["What grows how on many machines: [ten thousand nodes](explanation/ten-thousand-nodes.md)."]
    return "\n".join(parts) + "\n"


def machine() -> str:
    """The processor, its cores and the kernel."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())
    return f"{model}, {os.cpu_count()} processors, Linux {platform.release()}"


def main() -> None:
    """Measure, keep the figures, and write the page."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.performance", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all unless given")
    parser.add_argument("--page", action="store_true", help="measure nothing, write the page of what was measured")
    options = parser.parse_args()
    if unknown := set(options.parts) - PARTS.keys():
        parser.error(f"there is no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    if os.geteuid() != 0 and not options.page:
        sys.exit("the peers need root: sudo make performance")
    FOLDER.mkdir(exist_ok=True)
    measured = json.loads(MEASURED.read_text(encoding="utf-8")) if MEASURED.exists() else {"parts": {}}
    bench_bringup.compile_all()
    for name in () if options.page else options.parts or PARTS:
        print(f"== {name}", flush=True)
        figures: list[Figure] = []
        for figure in PARTS[name]():  # kept one by one: a part takes minutes, and may be interrupted
            figures.append(figure)
            print(json.dumps(figure), flush=True)
            measured["parts"][name] = figures
            measured["where"] = {"day": time.strftime("%Y-%m-%d"), "machine": machine()}
            MEASURED.write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")
    DOCUMENT.write_text(page(measured), encoding="utf-8")
    print(DOCUMENT.relative_to(ROOT))


if __name__ == "__main__":
    main()
