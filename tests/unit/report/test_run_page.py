import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import pytest

from testbed import report
from testbed.analysis.samples import RecordedSamples, Samples
from testbed.endpoint.columns import encode
from testbed.records import parse_object
from testbed.report.run_page import run_page
from testbed.runs import RunWriter

MS = 1_000_000
VOID = {"meta", "link", "br", "img"}
RUNNING = "script-src 'unsafe-inline' 'unsafe-eval'"
HOSTILE = "<script>alert(1)</script>&\"'"


class Reader(HTMLParser):
    """What a browser would see: elements with their attributes, and that they are nested well."""

    def __init__(self, text):
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.scripts: list[str] = []
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
        (self.scripts if "script" in self.open else self.words).append(text)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())

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


def test_the_report_is_in_the_folder_of_the_run_and_needs_nothing_else(make_run):
    run = make_run()
    assert report.write(run) == run.path / "report.html"
    page = Reader((run.path / "report.html").read_text())
    assert not {"link", "img", "iframe", "object"} & {tag for tag, _ in page.found}
    assert not [attributes for _, attributes in page.found if "src" in attributes]
    assert not re.search(r"@import|https?://", page.text)
    (policy,) = [meta["content"] for meta in page.tags("meta") if meta.get("http-equiv") == "Content-Security-Policy"]
    assert policy == f"default-src 'none'; style-src 'unsafe-inline'; {RUNNING}", "a browser would fetch something"
    assert [path.name for path in run.path.iterdir() if path.suffix == ".new"] == []


def test_the_report_is_small_enough_to_be_sent(make_run):
    assert report.write(make_run()).stat().st_size < 1_500_000


def test_a_good_run_says_so(make_run):
    page = shown(make_run())
    assert "✓ This run is trusted" in page.text
    assert "Links as requested 1 of 1" in page.text
    assert page.tags("section")[0]["class"] == "verdict good"


def test_reasons_not_to_trust_come_first(make_run):
    page = shown(make_run(distrust=("the machine was too busy",), delay_ns=30_000_000))
    assert "✗ This run is not trusted" in page.text
    assert "the machine was too busy" in page.text
    assert "Links as requested 0 of 1" in page.text
    assert "client -> server on wan: delay too high" in page.text


def test_a_run_that_failed_is_shown_as_far_as_it_went(make_run):
    page = shown(make_run(fail=RuntimeError("the cable was cut")))
    assert "it failed: the cable was cut" in page.text
    assert "Without result: voice." in page.text
    assert "One-way delay of voice" in page.text


def figures(page):
    return [figure["aria-label"] for figure in page.tags("figure") if "aria-label" in figure]


def test_the_charts_an_engineer_looks_for(make_run):
    assert figures(shown(make_run())) == [
        "Goodput of voice",
        "One-way delay of voice",
        "Distribution of the latency of voice",
        "Loss and reordering of voice",
    ]


def test_every_chart_is_drawn_and_can_be_made_live(make_run):
    text = report.write(make_run()).read_text(encoding="utf-8")
    panels = text.split('<div class="panel">')[1:]
    assert len(panels) == 1 + 1 + 1 + 2
    for panel in panels:
        (drawing,) = re.findall(r"<svg xmlns.*?</svg>", panel, re.DOTALL)
        assert ET.fromstring(drawing).iter("{http://www.w3.org/2000/svg}path")  # noqa: S314  # our own
        (specification,) = re.findall(r'<script type="application/json">(.*?)</script>', panel, re.DOTALL)
        assert json.loads(specification)["width"] == "container"


def test_parts_of_drawings_have_names_of_their_own(make_run):
    names = re.findall(r'\bid="([^"]+)"', report.write(make_run()).read_text(encoding="utf-8"))
    assert len(names) == len({*names})


def test_losses_are_described_and_drawn(make_run):
    run = make_run()
    assert "Of 50 messages: 5 lost, 0 reordered, 0 duplicates." in shown(run).text
    last = (run.path / "report.html").read_text().split('<div class="panel">')[-1]
    assert len(re.findall(r'<line [^>]*stroke="var\(--bad\)"', last)) == 5


def test_the_environment_of_a_run_is_shown(make_run):
    run = make_run()
    words = shown(run).text
    for fact in (run.plan.digest, "asked for", run.versions["kernel"], str(run.host.cores)):
        assert fact in words


def test_nothing_that_is_shown_can_become_markup(make_run, plan):
    page = shown(make_run(replace(plan, description=HOSTILE), distrust=(HOSTILE,)))
    assert "alert(1)" not in " ".join(page.scripts)
    assert page.text.count(HOSTILE) == 2


def test_names_in_charts_can_not_become_markup_either(make_run, plan):
    samples = Samples(plan.workloads[0])
    samples.add(parse_object({"event": HOSTILE, "node": "client", "at_ns": [MS, MS], HOSTILE: [1, 2]}))
    page = Reader(run_page(make_run(), RecordedSamples(samples={"voice": samples}, problems={})))
    assert len(page.tags("script")) == 2 + len([one for one in page.found if one == ("div", {"class": "panel"})])
    assert page.text.count(HOSTILE) == 1 + 1


def test_samples_that_are_cut_off_are_said_to_be(make_run):
    run = make_run()
    path = run.path / "samples" / "voice.jsonl"
    path.write_text(path.read_text()[:-20])
    page = shown(run)
    assert "The samples of voice can't be shown" in page.text
    assert "Goodput of voice" not in page.text
