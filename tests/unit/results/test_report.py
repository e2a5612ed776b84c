import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from testbed.endpoint.columns import encode
from testbed.results import RunWriter, report
from testbed.results.report import drawn_topology
from testbed.results.report.markup import document, element

MS = 1_000_000
VOID = {"meta", "link", "br", "img"}
HOSTILE = "<script>alert(1)</script>&\"'"


class Reader(HTMLParser):
    """What a browser would see: elements with their attributes, and that they are nested well."""

    def __init__(self, text):
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, text):
        self.words.append(text)

    @property
    def text(self):
        return " ".join(self.words)

    def tags(self, name):
        return [attributes for tag, attributes in self.found if tag == name]


@pytest.fixture
def make_run(tmp_path, plan, make_check, voice, statistics):
    def make(plan=plan, *, distrust=(), delay_ns=20_200_000, fail=None):
        writer = RunWriter(tmp_path, plan, runtime="netns")
        try:
            with writer:
                writer.checked([make_check(delay_ns=delay_ns)])
                writer.begun(statistics)
                with writer.samples("voice") as record:
                    sent = [number * 20 * MS for number in range(50)]
                    arrived = [number for number in range(50) if number % 10]
                    seen = {"seq": encode(arrived), "received_ns": encode([sent[n] + 20 * MS for n in arrived])}
                    for line in (
                        {"node": "client", "event": "sent", "first": 0, "sent_ns": encode(sent)},
                        {"node": "server", "event": "received", **seen},
                    ):
                        record.write(json.dumps(line) + "\n")
                if fail:
                    raise fail
                writer.ended(voice)
                writer.finished(statistics, distrust)
        except RuntimeError:
            pass
        return writer.run

    return make


def shown(run):
    return Reader(report.write(run).read_text(encoding="utf-8"))


def test_it_is_in_the_folder_of_the_run_and_needs_nothing_else(make_run):
    run = make_run()
    assert report.write(run) == run.path / "report.html"
    text = (run.path / "report.html").read_text()
    page = Reader(text)
    assert not {"script", "link", "img", "iframe", "object"} & {tag for tag, _ in page.found}
    assert not re.search(r"url\(|@import|https?://", text)
    assert [path.name for path in run.path.iterdir() if path.suffix == ".new"] == []


def test_a_good_run_says_so(make_run):
    page = shown(make_run())
    assert "✓ This run is trusted" in page.text
    assert "1 link as requested." in page.text
    assert page.tags("section")[0]["class"] == "verdict good"


def test_reasons_not_to_trust_come_first(make_run):
    page = shown(make_run(distrust=("the machine was too busy",), delay_ns=30_000_000))
    assert "✗ This run is not trusted" in page.text
    assert "the machine was too busy" in page.text
    assert "1 link NOT as requested." in page.text
    assert "client -> server on wan: delay too high" in page.text


def test_a_run_that_failed_is_shown_as_far_as_it_went(make_run):
    page = shown(make_run(fail=RuntimeError("the cable was cut")))
    assert "it failed: the cable was cut" in page.text
    assert "Without result: voice." in page.text
    assert "One-way delay of voice" in page.text


def test_the_plots_an_engineer_looks_for(make_run):
    titles = [each["aria-label"] for each in shown(make_run()).tags("svg")]
    assert titles == [
        "Topology of lossy",
        "Goodput of voice",
        "One-way delay of voice",
        "Tail of the latency of voice",
        "Loss and reordering of voice",
    ]


def test_what_was_lost_is_said_and_drawn(make_run):
    page = shown(make_run())
    assert "Of 50 messages: 5 lost, 0 reordered, 0 duplicates." in page.text
    rugs = [each["d"].count("M") for each in page.tags("path") if each["class"] == "rug bad"]
    assert 5 in rugs


def test_what_a_result_depends_on_is_there(make_run):
    run = make_run()
    words = shown(run).text
    for fact in (run.plan.digest, "asked for", run.versions["kernel"], str(run.host.cores)):
        assert fact in words


def test_nothing_that_is_shown_can_become_markup(make_run, plan):
    page = shown(make_run(replace(plan, description=HOSTILE), distrust=(HOSTILE,)))
    assert page.tags("script") == []
    assert page.text.count(HOSTILE) == 2


def test_samples_that_are_cut_off_are_said_to_be(make_run):
    run = make_run()
    path = run.path / "samples" / "voice.jsonl"
    path.write_text(path.read_text()[:-20])
    page = shown(run)
    assert "The samples of voice can't be shown" in page.text
    assert "Goodput of voice" not in page.text


def test_every_node_network_and_link_is_drawn(plan):
    link = plan.links[0]
    back = replace(link, source="server", destination="client")
    alone = Reader(document([], [drawn_topology.draw(plan)]))
    for word in ("client", "server", "wan", link.shape.describe()):
        assert word in alone.text
    assert len([each for each in alone.tags("path") if each["class"] == "tip"]) == 1
    both = Reader(document([], [drawn_topology.draw(replace(plan, links=(link, back)))]))
    assert len([each for each in both.tags("path") if each["class"] == "tip"]) == 2
    assert both.text.count("delay 20 ms") == 1


def test_elements_escape_text_and_attributes():
    text = document([], [element("p", HOSTILE, title=HOSTILE)])
    page = Reader(text)
    assert page.tags("p") == [{"title": HOSTILE}]
    assert HOSTILE in page.text
