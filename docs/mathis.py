"""The Mathis relation beside a sweep: draws docs/mathis.svg, prints the tables of docs/mathis.md.

python docs/mathis.py [SWEEP.JSON]    of the last `testbed sweep mathis` unless given

    goodput <= MSS / RTT * C / sqrt(p)

for a sender that halves its window at a loss and grows by one segment per round trip, where packets are lost with
probability p: M. Mathis, J. Semke, J. Mahdavi, T. Ott, "The Macroscopic Behavior of the TCP Congestion Avoidance
Algorithm", ACM CCR 27(3), 1997. C is sqrt(3/2) where the window grows by every segment acknowledged, as in Linux
(`tcp_reno_cong_avoid`), and sqrt(3/4) where it grows by every acknowledgement, and those are delayed.
"""
# ruff: noqa: INP001  # a script, not a package

from __future__ import annotations

import json
import re
import sys
from math import sqrt
from pathlib import Path
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from testbed.analysis import formatting
from testbed.plan import resolve
from testbed.report.axes import Axis
from testbed.report.charts import Panel, figure
from testbed.report.display_units import PERCENT, display_unit
from testbed.report.marks import Lines, Mark, Ranges
from testbed.report.page import style_sheet
from testbed.statistics import LINEAR, LOG, Estimate, log_slope
from testbed.sweep.outcome import CONFIDENCE
from testbed.sweep.scale import scale
from testbed.topology import find, load

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from testbed.plan.model import Plan
    from testbed.report.charts import Chart

HERE = Path(__file__).parent
METRIC, LOSS, CONGESTION = "flow.goodput", "links[0].loss", "workloads.flow.congestion"

C = {"√(3/2)": sqrt(3 / 2), "√(3/4), delayed acknowledgements": sqrt(3 / 4)}
MSS_BITS = 8 * (1500 - 20 - 20 - 12)
"""Payload of a segment: the MTU without the headers of IP and TCP and the option of timestamps."""

FEW = 0.02
"""Up to this loss Mathis's assumption holds, that no loss ends in a time-out."""

_SIDES = 1.4
_HEIGHT = 320
_MARGIN = 12
_LINE, _LETTER = 18, 7


class Sweep:
    """What a sweep.json says: by congestion control, points `(loss, values of the runs)`."""

    def __init__(self, path: Path) -> None:
        data = json.loads(path.read_text())
        found = scale(data["factors"][LOSS])
        if found is None:
            raise SystemExit(f"{path}: {LOSS} takes values that are no probabilities")
        self.points: dict[str, list[tuple[float, Estimate]]] = {}
        self.untrusted = sum(not run["trusted"] for cell in data["cells"] for run in cell["runs"])
        self.runs = sum(len(cell["runs"]) for cell in data["cells"])
        for cell in data["cells"]:
            estimate = Estimate.of([run["values"][METRIC] for run in cell["runs"]], LOG, CONFIDENCE)
            if estimate is not None:
                points = self.points.setdefault(cell["levels"][CONGESTION], [])
                points.append((found.values[cell["levels"][LOSS]], estimate))

    def exponent(self, congestion: str, up_to: float = 1) -> Estimate | None:
        """With which power of the loss the goodput grows: over repetitions, each fitted by itself."""
        points = [(loss, estimate) for loss, estimate in self.points[congestion] if loss <= up_to]
        losses = [loss for loss, _ in points]
        by_repetition = zip(*(estimate.values for _, estimate in points), strict=True)
        return Estimate.of([log_slope(losses, goodputs) for goodputs in by_repetition], LINEAR, CONFIDENCE)


def main() -> None:
    """Draw and print."""
    kept = sorted(Path().glob("results/sweeps/mathis-*/sweep.json"), key=lambda path: path.stat().st_mtime)
    given = [Path(name) for name in sys.argv[1:]] or kept
    if not given:
        raise SystemExit("there is no sweep of mathis in results/: testbed sweep mathis")
    sweep, plan = Sweep(given[-1]), resolve(load(find("mathis")))
    (HERE / "mathis.svg").write_text(drawing(sweep, plan), encoding="utf-8")
    sys.stdout.writelines(f"{line}\n" for line in tables(sweep, plan))


def mathis_bps(plan: Plan, loss: float, constant: float) -> float:
    """The bound on the goodput, bit/s."""
    round_trip_ns = sum(link.impairments.delay_ns for link in plan.links)
    return MSS_BITS * 1e9 / round_trip_ns * constant / sqrt(loss)


def drawing(sweep: Sweep, plan: Plan) -> str:
    """The sweep with the relation's lines, as SVG."""
    losses = sorted({loss for points in sweep.points.values() for loss, _ in points})
    ends = losses[0] / _SIDES, losses[-1] * _SIDES
    x = Axis(low=ends[0], high=ends[1], scale="log", unit=PERCENT)
    bottlenecks = [link.impairments.bottleneck for link in plan.links]
    bottleneck_bps = max(each.rate.mean_bps for each in bottlenecks if each)
    unit = display_unit("bit/s", bottleneck_bps)
    y = Axis(low=1e6, high=bottleneck_bps * _SIDES, scale="log", unit=unit)
    marks: list[Mark] = []
    for style, (name, constant) in enumerate(C.items(), 4):
        line = [(loss, mathis_bps(plan, loss, constant)) for loss in ends]
        marks.append(Lines(name=f"Mathis, C = {name}", style=style, look="thin", lines=[line]))
    for style, (congestion, points) in enumerate(sweep.points.items()):
        marks.append(Ranges(name=congestion, style=style, ranges=list(_ranges(points)), joined=True))
    panel = Panel(label=f"goodput, {unit.name}, logarithmic", y=y, marks=marks, height=_HEIGHT)
    (chart,) = figure("Goodput by loss", x, "loss, %, logarithmic", [panel]).charts
    return alone(chart)


def alone(chart: Chart) -> str:
    """The drawing of a chart as a file of its own, with its colours, its label and its legend."""
    _, _, width, height = (float(number) for number in re.findall(r'viewBox="([^"]+)"', chart.svg)[0].split())
    parts = [f'<text y="12" font-weight="600" fill="var(--ink)">{escape(chart.label)}</text>']
    x, y = 0.0, 34
    for swatch in chart.legend:
        if x + 40 + _LETTER * len(swatch.name) > width:
            x, y = 0.0, y + _LINE
        dash = " ".join(map(str, swatch.dash))
        parts.append(
            f'<path d="M{x} {y - 4}h24" stroke="{swatch.colour}" stroke-width="2" stroke-dasharray="{dash}"/>'
            f'<text x="{x + 30}" y="{y}" fill="var(--soft)">{escape(swatch.name)}</text>'
        )
        x += 50 + _LETTER * len(swatch.name)
    top = y + _LINE
    view = f"{-_MARGIN} {-_MARGIN} {width + 2 * _MARGIN} {height + top + 2 * _MARGIN}"
    paper = f'<rect x="{-_MARGIN}" y="{-_MARGIN}" width="100%" height="100%" fill="var(--paper)"/>'
    style = f"<style>{style_sheet()} text {{ font: 12px sans-serif; }}</style>"
    drawn = chart.svg.replace("<svg ", f'<svg y="{top}" ', 1)
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{view}">{style}{paper}{"".join(parts)}{drawn}</svg>\n'


def _ranges(points: Sequence[tuple[float, Estimate]]) -> Iterator[tuple[float, float, float, float]]:
    for loss, estimate in points:
        low, high = estimate.interval or (estimate.mean, estimate.mean)
        yield loss, low, estimate.mean, high


def tables(sweep: Sweep, plan: Plan) -> Iterator[str]:
    """Each goodput beside the bound, and the exponents, as Markdown."""
    (bound, constant), *_ = C.items()
    losses = sorted({loss for points in sweep.points.values() for loss, _ in points})
    of: Mapping[str, dict[float, Estimate]] = {name: dict(points) for name, points in sweep.points.items()}
    yield f"| loss | Mathis, C = {bound} | {' | '.join(f'{name} | of Mathis' for name in of)} |"
    yield "|---|---|" + "---|---|" * len(of)
    for loss in losses:
        most = mathis_bps(plan, loss, constant)
        cells = [f"{formatting.rate(one[loss].mean)} | {one[loss].mean / most:.2f}" for one in of.values()]
        yield f"| {formatting.ratio(loss)} | {formatting.rate(most)} | {' | '.join(cells)} |"
    yield from (
        "",
        f"| goodput grows with this power of the loss | up to {formatting.ratio(FEW)} | over all |",
        "|---|---|---|",
    )
    yield "| Mathis | -0.5 | -0.5 |"
    for name in of:
        yield f"| {name} | {_exponent(sweep.exponent(name, FEW))} | {_exponent(sweep.exponent(name))} |"
    yield f"\n{sweep.runs} runs, {sweep.untrusted} of them not trusted"


def _exponent(estimate: Estimate | None) -> str:
    if estimate is None or estimate.interval is None:
        return formatting.UNMEASURED
    low, high = estimate.interval
    return f"{estimate.mean:.2f} ({low:.2f} to {high:.2f})"


if __name__ == "__main__":
    main()
