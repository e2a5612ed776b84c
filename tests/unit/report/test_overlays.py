import csv
import io
import json

import pytest

from testbed.analysis.samples import Samples
from testbed.endpoint.columns import encode
from testbed.records import parse_object
from testbed.report.overlays import Overlaid, mean, overlays

MS = 1_000_000


def test_the_mean_is_of_those_that_are_there():
    short, long = [(0, 10.0), (2, 30.0)], [(0, 20.0), (4, 40.0)]
    assert mean([short, long], [0, 1, 2, 3, 4]) == [(0, 15), (1, 15), (2, 25), (3, 20), (4, 40)]


@pytest.fixture
def run(plan):
    def made(rtt_ns, begun_ns, delay_ns):
        samples = Samples(plan.workloads[0])
        times = [begun_ns + number * 100 * MS for number in range(4)]
        info = {"at_ns": encode(times), "rtt_ns": encode([rtt_ns] * 4), "cwnd": encode([10, 20, 30, 40])}
        arrived = [at + delay_ns for at in times]
        for line in (
            {"node": "client", "event": "tcp-info", **info},
            {"node": "client", "event": "sent", "first": 0, "sent_ns": encode(times)},
            {"node": "server", "event": "received", "seq": encode(range(4)), "received_ns": encode(arrived)},
        ):
            samples.add(parse_object(line))
        samples.messages.finish()
        return samples

    return made


def test_each_run_is_faint_beside_the_mean_of_its_side(run):
    one = Overlaid(label="one", style=0, runs=tuple(run(40 * MS, at, 20 * MS) for at in (0, 10**12)))
    other = Overlaid(label="other", style=1, runs=(run(60 * MS, 5, 30 * MS),))
    found = [*overlays("voice", [one, other])]
    assert [figure.title.split(" ")[0] for figure in found] == ["Goodput", "TCP", "Distribution"]
    assert [len(figure.charts) for figure in found] == [1, 2, 1]
    for chart in (chart for figure in found for chart in figure.charts):
        assert [swatch.name for swatch in chart.legend] == ["one, each run", "one, mean of 2 runs", "other"]
        faint, mean_line, alone = (
            chart.svg.count('stroke-opacity="0.35"'),
            *map(chart.svg.count, ("var(--s0)", "var(--s1)")),
        )
        assert (faint, mean_line, alone) == (2, 3, 1)


def test_no_figure_without_samples(plan):
    assert [*overlays("voice", [Overlaid(label="one", style=0, runs=(Samples(plan.workloads[0]),))])] == []


def test_a_curve_of_a_run_without_loss_leaves_its_logarithmic_axis_at_the_bottom(run):
    one = Overlaid(label="one", style=0, runs=(run(40 * MS, 0, 20 * MS), run(40 * MS, 0, 30 * MS)))
    *_, tails = overlays("voice", [one])
    data = json.loads(tails.charts[0].specification)["data"]["values"]
    shares = [float(row["y"]) for row in csv.DictReader(io.StringIO(data)) if row["y"]]
    assert shares
    assert min(shares) > 0  # the library draws 0 at the top of a logarithmic axis
