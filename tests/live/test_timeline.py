"""Timelines of runs: what happens to packets while links change, and what is left of it afterwards."""

import json
import signal
from dataclasses import replace

import pytest

from testbed.endpoint.columns import decode
from testbed.errors import LabError
from testbed.impairments import (
    CERTAIN,
    Blackhole,
    Impairments,
    IndependentLoss,
)
from testbed.lab import Lab
from testbed.plan import Event, LinkChange
from testbed.topology import loads
from tests.live.command_line import PATIENCE_S, begin, eventually
from tests.live.lateness import is_lateness

MS = 1_000_000
ATTEMPTS = 3
"""Until a machine that is busy has found the time to send while a link was cut."""
MARGIN_NS = 400 * MS
"""What a datagram may take from the sender's stamp to the link, on a machine that is busy."""

TEXT = """
name: timeline
nodes: {a: , b: , c: }
links: [{between: [a, b], delay: 10ms}]
workloads:
  - together:
      - {name: impaired, kind: udp-stream, from: a, to: b, rate: 128kbit, size: 160B, duration: 4s}
      - {name: perfect, kind: udp-stream, from: a, to: c, rate: 128kbit, size: 160B, duration: 4s}
timeline:
  - {at: 1500ms, partition: [[a], [b]]}
  - {at: 2s, link: {from: a, to: c}, blackhole: true}
  - {at: 3s, heal: all}
"""

pytestmark = [pytest.mark.live, pytest.mark.netns]


@pytest.fixture
def up(lab_name):
    """Brings a topology up under the test's own lab name; takes it down at the end."""
    labs = []

    def bring_up(text, engine=None):
        labs.append(Lab.up(loads(text, "timeline.yml"), name=lab_name, runtime="netns", engine=engine))
        return labs[-1]

    yield bring_up
    for lab in labs:
        lab.down()


def datagrams(run, workload):
    """When each datagram was sent, and those that arrived."""
    sent: list[int] = []
    arrived: set[int] = set()
    for line in (run.path / "samples" / f"{workload}.jsonl").read_text().splitlines():
        event = json.loads(line)
        if event["event"] == "sent":
            sent += decode(event["sent_ns"])
        elif event["event"] == "received":
            arrived |= set(decode(event["seq"]))
    return sent, arrived


def told_apart(run):
    """Of each workload the datagrams sent while its link was cut, before and after that, and those that arrived."""
    parted, blackened, healed = run.timeline
    for workload, cut in (("impaired", parted), ("perfect", blackened)):
        sent, arrived = datagrams(run, workload)
        while_cut = {n for n, at in enumerate(sent) if cut.done_ns < at < healed.begun_ns - MARGIN_NS}
        before = {n for n, at in enumerate(sent) if at < cut.begun_ns - MARGIN_NS}
        after = {n for n, at in enumerate(sent) if at > healed.done_ns}
        yield while_cut, before, after, arrived


@pytest.mark.parametrize("engine", ["userspace", pytest.param("netem", marks=pytest.mark.netem)])
def test_all_is_lost_while_a_link_is_cut_and_nothing_else(up, engine, tmp_path):
    lab = up(TEXT, engine)
    for _ in range(ATTEMPTS):
        run = lab.run(tmp_path)
        if all(while_cut and after for while_cut, _, after, _ in told_apart(run)):
            break
    assert {(each.engine, each.why) for each in run.engines} == {(engine, "asked for")}
    assert all(finding.passed or is_lateness(finding) for check in run.checks for finding in check.findings)
    assert [(each.at_ns, each.what) for each in run.timeline] == [
        (1500 * MS, "partition a | b"),
        (2000 * MS, "a -> c: loss 100 %"),
        (3000 * MS, "heal all"),
    ]
    for each in run.timeline:
        assert each.due_ns <= each.begun_ns <= each.done_ns
    for while_cut, before, after, arrived in told_apart(run):
        assert while_cut
        assert after
        assert not while_cut & arrived
        assert before | after <= arrived
    assert lab.link("a", "b").impairments == Impairments(delay_ns=10 * MS)
    assert lab.link("a", "c").impairments.is_clear
    for counted in (run.statistics_before, run.statistics_after):
        carried = {(each.source, each.destination): each.engine for each in counted}
        assert carried == dict.fromkeys((("a", "b"), ("b", "a"), ("a", "c")), engine)
    assert json.loads((run.path / "run.json").read_text())["timeline"][0]["done_ns"] == run.timeline[0].done_ns


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_however_a_run_ends_links_are_as_before_it(up, lab_name, number, tmp_path):
    lab = up(TEXT.replace("duration: 4s", "duration: 301s").replace("at: 3s", "at: 300s"))  # it does not get that far
    link = lab.link("a", "b")
    changed = link.update(delay="30ms", loss="1%")
    with begin("run", lab_name, "--results", str(tmp_path), lab=lab_name) as process:
        while not (line := process.stdout.readline()).startswith(b"event"):
            assert line, process.stderr.read()
        assert link.impairments.loss == Blackhole()
        process.send_signal(number)
        _, stderr = process.communicate(timeout=PATIENCE_S)
    assert b"Traceback" not in stderr
    if number == signal.SIGKILL:
        assert eventually(lambda: link.impairments == changed)
    assert link.impairments == changed
    assert lab.link("b", "a").impairments == Impairments(delay_ns=10 * MS)


def test_what_cannot_happen_fails_the_run(up, tmp_path):
    lab = up("name: x\nnodes: {a: , b: }\nworkloads: [{name: w, kind: ping, from: a, to: b, count: 20}]\n")
    plan = lab.plan
    change = LinkChange(
        source="a", destination="b", network="lan", impairments=Impairments(loss=IndependentLoss(probability=CERTAIN))
    )
    for event, code in (
        (Event(at_ns=0, what="impossible", changes=(change,)), "not-impaired"),
        (Event(at_ns=3600 * 1000 * MS, what="too late", changes=()), "timeline-cut-short"),
    ):
        lab.plan = replace(plan, timeline=(event,))
        with pytest.raises(LabError) as raised:
            lab.run(tmp_path / code)
        assert raised.value.code == code
        [record] = (tmp_path / code).glob("*/*.incomplete/run.json")
        assert code in json.loads(record.read_text())["error"]
