"""What views of a lab say: rates over time, the workloads that run, events for scripts, and what a filter leaves."""

from dataclasses import replace

from testbed.agent.messages import LabEvent
from testbed.cli.watch import texts
from testbed.cli.watch.lists import cut
from testbed.engines.counters import Counters
from testbed.impairments import Impairments
from testbed.lab.snapshots import LinkState, NodeState, Snapshot
from testbed.matching import LinkKey

MS = 1_000_000
LINK = LinkState(
    key=LinkKey("a", "b", "lan"),
    impairments=Impairments(delay_ns=10 * MS),
    engine="userspace",
    counts=Counters(in_flight=3, lateness_p99_ns=2 * MS),
    drops=7,
    in_bps=9e6,
    out_bps=8e6,
    dropped_per_s=1.6,
)
BACK = replace(LINK, key=LINK.key.back, counts=Counters(queued_bytes=2000), in_bps=None, out_bps=None)
NODES = tuple(
    NodeState(name=name, state=state, by_fault=False) for name, state in (("a", "running"), ("c", "exited 1"))
)
NOW = Snapshot(lab="x", at_ns=1, nodes=NODES, links=(LINK, BACK), problems=())


def event(kind, what, **others):
    return LabEvent(number=1, kind=kind, at_ns=5 * MS, unix_ns=1_700_000_000_250_000_000, what=what, **others)


def test_a_row_says_what_is_known():
    history = texts.History()
    row = history.rows(NOW)[LINK.key]
    assert (row.rate, row.drops, row.dropping, row.queued, row.late) == ("8 mbit/s", "7", "2/s", "3 pkt", "2 ms")
    back = history.rows(replace(NOW, links=(BACK,)))[BACK.key]
    assert (back.rate, back.queued, back.late) == ("?", "2 KB", "-")
    again = history.rows(NOW)[LINK.key]
    assert again.rates_bps == (8e6,)  # it was not there in between


def test_a_sparkline_has_the_newest_value_last():
    history = texts.History()
    for out_bps in (None, 0.0, 4e6, 8e6):
        row = history.rows(replace(NOW, links=(replace(LINK, out_bps=out_bps),)))[LINK.key]
    assert row.sparkline(8) == " ▁▅█"
    assert row.sparkline(2) == "▅█"


def test_flows_are_the_workloads_that_run():
    activity, rows = texts.Activity(), texts.History().rows(NOW).values()
    one, other = "load (tcp-stream): a -> b", "echo (ping): a -> far"
    for kind, what in (("run-begun", "run 1"), ("workload-begun", one), ("workload-begun", other)):
        activity.note(event(kind, what))
    assert activity.flows(rows, 4) == [f"{one}  8 mbit/s █", other]
    activity.note(event("workload-ended", f"{one}: failed: too late"))
    assert activity.flows(rows, 4) == [other]
    activity.note(event("run-ended", "run 1: its command ended before"))
    assert activity.flows(rows, 4) == []
    assert len(activity.latest) == 5


def test_an_event_for_scripts_has_utc_times():
    assert texts.event_object(event("fault-done", "b: pause", node="b", begun_ns=1 * MS)) == {
        "number": 1,
        "time": "2023-11-14T22:13:20.250000Z",
        "kind": "fault-done",
        "what": "b: pause",
        "begun": "2023-11-14T22:13:20.246000Z",
        "node": "b",
    }


def test_a_filter_leaves_links_and_their_ends():
    def names(part):
        nodes, links = texts.selected(NOW, part)
        return [node.name for node in nodes], [link.name for link in links]

    assert names("") == (["a", "c"], ["a -> b", "b -> a"])
    assert names("a -> ") == (["a"], ["a -> b"])
    assert names("delay 10") == (["a"], ["a -> b", "b -> a"])
    assert names("exited") == (["c"], [])


def test_links_that_end_alike_can_be_told_apart_where_there_is_little_room():
    rows = [[f"server -> client-{number}", "delay 20 ms, loss 1 %"] for number in (1, 2)]
    assert [[*cut(cells, [17, 14])] for cells in rows] == [
        ["server -> …ient-1", "delay 20 ms, …"],
        ["server -> …ient-2", "delay 20 ms, …"],
    ]
