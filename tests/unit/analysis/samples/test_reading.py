import json
from dataclasses import replace

import pytest

from testbed.analysis.samples import read
from testbed.endpoint.columns import encode
from testbed.records import RecordError
from testbed.workloads.summarising import summarise

MS = 1_000_000


@pytest.fixture
def voice_workload(plan):
    return plan.workloads[0]


@pytest.fixture
def record(tmp_path):
    def write(*lines):
        path = tmp_path / "samples.jsonl"
        path.write_text("".join(json.dumps({"node": "client", **line}) + "\n" for line in lines))
        return path

    return write


def sent(times, first=0):
    return {"event": "sent", "first": first, "sent_ns": encode(times)}


def received(seq, times):
    return {"event": "received", "seq": encode(seq), "received_ns": encode(times)}


def test_losses_reordering_and_duplicates_are_distinguished(record, voice_workload):
    times = [number * 20 * MS for number in range(6)]
    arrivals = [(0, 40), (2, 41), (1, 42), (2, 43), (5, 150)]
    path = record(sent(times), received([seq for seq, _ in arrivals], [at * MS for _, at in arrivals]))
    messages = read(path, voice_workload).messages
    assert [one.start for one in messages.lost] == [3, 4]
    assert [one.start for one in messages.reordered] == [1]
    assert [one.start for one in messages.duplicated] == [2]
    assert messages.loss(2) == [(0, 3, 0), (3, 6, pytest.approx(2 / 3))]
    assert messages.loss(4) == [(0, 2, 0), (2, 4, 0.5), (4, 6, 0.5)]
    assert [value for value, _ in messages.latencies.greater()] == pytest.approx(
        [MS, 22 * MS, 40 * MS, 50 * MS], rel=0.001
    )


def test_the_order_of_lines_does_not_matter(record, voice_workload):
    samples = read(record(received([0, 1], [30, 40]), sent([10], 0), sent([20], 1)), voice_workload)
    assert not samples.messages.lost
    assert samples.begun_ns == 10


def test_a_late_answer_counts_as_lost(record, voice_workload):
    patient = replace(voice_workload, kind="udp-rr", parameters={"timeout_ns": 10})
    messages = read(record(sent([100, 200]), received([0, 1], [111, 210])), patient).messages
    assert [one.start for one in messages.lost] == [0]


def test_the_report_and_the_summary_agree_on_the_fate_of_messages(record, voice_workload):
    """One answer is late twice, one is in time twice, one has a negative latency because clocks differ."""
    answered = replace(
        voice_workload, kind="udp-rr", parameters={"timeout_ns": 10, "count": 4, "size_bytes": 8, "reply_bytes": 8}
    )
    source, destination = answered.source, answered.destination
    arrivals = [(1, 198), (0, 111), (0, 112), (2, 305), (2, 306)]
    totals = {"event": "end", "corrupted": 0, "strangers": 0, "drops": 0}
    lines = [
        {"node": source, **sent([100, 200, 300, 400])},
        {"node": source, **received([seq for seq, _ in arrivals], [at for _, at in arrivals])},
        {"node": source, **totals},
        {"node": destination, **totals},
    ]
    messages, summary = read(record(*lines), answered).messages, summarise(answered, lines)
    assert summary.number("duplicates") == sum(one.count for one in messages.duplicated) == 1
    assert summary.number("lost") == sum(one.count for one in messages.lost) == 2
    assert summary.number("late") == 1
    assert summary.number("latency.min") == min(one.low for one in messages.latency) == -2
    assert [value for value, _ in messages.latencies.greater()] == [-2, 5]


def test_goodput_counts_each_message_once(record, voice_workload):
    there = {**received([0, 0, 1], [30, 31, 240]), "node": "server"}
    flow = read(record(sent([10, 20]), there), voice_workload).flow
    assert flow is not None
    assert sum(one.total for one in flow.delivered) == 2 * 160


@pytest.mark.parametrize(
    "lines",
    [
        [sent([1, 2], first=3)],
        [sent([1]), received([1], [2])],
        [{"event": "received", "seq": [1]}],
    ],
)
def test_an_incomplete_record_is_refused(record, voice_workload, lines):
    with pytest.raises(RecordError):
        read(record(*lines), voice_workload)


def test_tcp_senders_are_kept_with_new_retransmissions(record, voice_workload):
    stream = replace(voice_workload, kind="tcp-stream", parameters={"duration_ns": 1})
    columns = {
        "at_ns": [0, 100 * MS, 200 * MS],
        "rtt_ns": [40 * MS, 41 * MS, 40 * MS],
        "cwnd": [10, 20, 15],
        "ssthresh": [0x7FFFFFFF, 0x7FFFFFFF, 15],
        "retransmits": [0, 3, 3],
        "delivery_rate": [0, 1000, (1 << 63) - 1],
        "busy_ns": [0, 50 * MS, 150 * MS],
    }
    info = {"event": "tcp-info", **{name: encode(values) for name, values in columns.items()}}
    heard = {"event": "bytes", "start_ns": 50 * MS, "bucket_ns": 100 * MS, "bytes": encode([1000, 0, 500])}
    samples = read(record(info, heard), stream)
    (sender,) = samples.senders
    assert sender.node == "client"
    assert [one.mean for one in sender.columns["cwnd"]] == [10, 20, 15]
    assert [one.mean for one in sender.columns["ssthresh"]] == [15]
    assert [one.mean for one in sender.columns["delivery_rate"]] == [0, 8000]
    assert [one.mean for one in sender.columns["busy_ns"]] == [0.5, 1]
    assert [(one.start, one.total) for one in sender.retransmits] == [(100 * MS, 3)]
    assert samples.flow is not None
    assert [one.total for one in samples.flow.delivered] == [1000, 0, 500]


def test_messages_that_arrive_at_another_node_are_one_way(record, voice_workload):
    there = {**received([0, 1], [30, 240]), "node": "server"}
    one_way = read(record(sent([10, 20]), there), voice_workload)
    assert one_way.messages.one_way
    assert one_way.flow is not None
    assert sum(one.total for one in one_way.flow.delivered) == 2 * 160
    answered = read(record(sent([10, 20]), received([0, 1], [30, 240])), voice_workload)
    assert not answered.messages.one_way
    assert answered.flow is None


def test_columns_of_unknown_events_are_kept(record, voice_workload):
    told = {"event": "fan", "at_ns": encode([MS, 9 * MS]), "speed": encode([5, 7]), "delay_ns": encode([1, 2])}
    (series,) = read(record(told), voice_workload).series.values()
    assert [one.mean for one in series.columns["speed"]] == [5, 7]
    assert (series.quantity("delay_ns").label, series.quantity("delay_ns").unit) == ("delay", "ns")


def test_values_of_one_time_are_kept(record, voice_workload):
    said = [{"bits_per_second": 8e6 * number, "end": number, "ok": True, "name": "x"} for number in (1, 2)]
    lines = [{"event": "sample", "at_ns": number * MS, "data": data} for number, data in enumerate(said, 1)]
    samples = read(record(*lines), voice_workload)
    (series,) = samples.series.values()
    assert {name: [one.mean for one in bins] for name, bins in series.columns.items()} == {
        "bits_per_second": [8e6, 16e6]
    }
    assert (series.quantity("bits_per_second").label, series.quantity("bits_per_second").unit) == ("rate", "bit/s")
    assert (samples.begun_ns, samples.ended_ns) == (MS, 2 * MS)


def test_columns_of_different_lengths_are_refused(record, voice_workload):
    with pytest.raises(ValueError, match="1 values of speed for 2 times"):
        read(record({"event": "fan", "at_ns": [1, 2], "speed": [5]}), voice_workload)
