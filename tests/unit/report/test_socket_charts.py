import json
from dataclasses import replace

import pytest

from testbed.endpoint.columns import encode
from testbed.report.charts import Figure
from testbed.report.socket_charts import connections
from testbed.runs import Connections, RunWriter

MS = 1_000_000


@pytest.fixture
def run(tmp_path, plan):
    writer = RunWriter(tmp_path, plan, runtime="netns")

    def made(*lines, count):
        directory = tmp_path / "sockets"
        directory.mkdir()
        (directory / "server.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        sampled = Connections(node="server", file="sockets/server.jsonl", connections=count, samples=9)
        return replace(writer.run, path=tmp_path, sockets=(sampled,))

    return made


def line(number, samples=2, process="nginx"):
    at = [10**12 + each * 500 * MS for each in range(samples)]
    columns = {"at_ns": encode(at), "rtt_ns": encode([40 * MS] * samples), "cwnd": encode([10] * samples)}
    name = f"198.18.7.3:80 198.18.7.2:{number}"
    return {
        "node": "server",
        "event": "tcp-info",
        "connection": name,
        "process": process,
        "congestion": "bbr",
        **columns,
    }


def only(run):
    (figure,) = connections(run)
    assert isinstance(figure, Figure)
    return figure


def said(figure):
    legends = [swatch.name for chart in figure.charts for swatch in chart.legend]
    return " | ".join([figure.title, figure.note, *(chart.label for chart in figure.charts), *legends])


def test_each_connection_has_a_line_in_each_panel(run):
    figure = only(run(line(4000), line(4001, process=None), count=2))
    words = said(figure)
    for word in ("nginx, server:80 to client:4000", "unknown, server:80", "round-trip", "window"):
        assert word in words
    assert "delivery rate" not in words
    assert [len(chart.legend) for chart in figure.charts] == [2, 2]


def test_of_many_those_that_were_seen_most_are_shown(run):
    figure = only(run(*(line(number, samples=1 + number % 10) for number in range(10)), count=10))
    words = said(figure)
    assert "Those of 10 that were seen most often." in words
    assert "client:9" in words
    assert "client:0" not in words


def test_a_node_that_never_had_a_connection_is_reported(run):
    assert [*connections(run(count=0))] == ["server had no TCP connection in 9 samples."]


def test_unreadable_samples_are_reported_on_the_page(run):
    text = str(next(connections(run({"event": "tcp-info"}, count=1))))
    assert "can't be shown" in text
