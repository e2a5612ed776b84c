"""What the ledger decides about messages that are few enough to be followed by hand."""

from __future__ import annotations

import pytest

from testbed.endpoint.columns import encode
from testbed.records import Ledger, RecordError, match, parse_object


def sent(*times, first=0):
    return parse_object({"event": "sent", "first": first, "sent_ns": encode(times)})


def received(*arrivals):
    seq, times = [number for number, _ in arrivals], [at_ns for _, at_ns in arrivals]
    return parse_object({"event": "received", "seq": encode(seq), "received_ns": encode(times)})


def filled(*events, timeout_ns=None):
    """A ledger with these events, and the deliveries."""
    ledger = Ledger(timeout_ns)
    deliveries = [one for event in events for one in ledger.add(event)]
    ledger.finish()
    return ledger, deliveries


def test_losses_reordering_and_duplicates_are_distinguished():
    ledger, (found,) = filled(sent(0, 10, 20, 30, 40, 50), received((0, 5), (2, 26), (1, 27), (2, 28), (5, 60)))
    assert (len(ledger), ledger.delivered, ledger.duplicates, ledger.reordered, ledger.late) == (6, 4, 1, 1, 0)
    assert [*found.seq] == [0, 2, 1, 5]
    assert [*found.sent_ns] == [0, 20, 10, 50]
    assert [*found.received_ns] == [5, 26, 27, 60]
    assert [*found.latencies_ns] == [5, 6, 17, 10]
    assert ([*found.duplicates], [*found.reordered]) == ([2], [1])
    assert [*ledger.loss_runs()] == [range(3, 5)]
    assert [ledger.lost(0, 3), ledger.lost(3, 5), ledger.lost(4, 99)] == [0, 2, 1]
    assert [ledger.is_delivered(number) for number in (2, 3)] == [True, False]


def test_an_answer_that_is_late_twice_is_lost_and_no_duplicate():
    """RFC 5560 counts the copies that arrive within the waiting time; of a lost packet it defines no duplicates."""
    ledger, (found,) = filled(sent(0, 10), received((0, 9), (1, 18), (0, 20), (0, 21)), timeout_ns=8)
    assert (ledger.delivered, ledger.late, ledger.duplicates) == (1, 1, 0)
    assert [*found.seq] == [1]


def test_a_second_copy_that_is_late_is_no_duplicate():
    ledger, _ = filled(sent(0), received((0, 8), (0, 9)), timeout_ns=8)
    assert (ledger.delivered, ledger.late, ledger.duplicates) == (1, 0, 0)


def test_a_copy_in_time_delivers_a_message_whose_late_copy_is_recorded_first():
    ledger, _ = filled(sent(0), received((0, 9), (0, 8)), timeout_ns=8)
    assert (ledger.delivered, ledger.late, ledger.duplicates) == (1, 0, 0)


def test_a_negative_latency_is_kept():
    _, (found,) = filled(sent(100, 200), received((0, 98), (1, 203)), timeout_ns=8)
    assert [*found.latencies_ns] == [-2, 3]


def test_duplicates_and_order_are_followed_across_lines():
    ledger, _ = filled(sent(0, 0, 0), received((2, 1)), received((2, 2), (0, 3)), received((1, 4), (0, 5)))
    assert (ledger.delivered, ledger.duplicates, ledger.reordered) == (3, 2, 2)


@pytest.mark.parametrize(("seq", "reordered"), [([1, 2, 3, 5, 6, 4, 7], [4]), ([1, 4, 5, 6, 2, 3], [2, 3])])
def test_the_examples_of_rfc_4737(seq, reordered):
    """One late packet is one reordered packet, not three."""
    _, found = match([0] * 8, seq, range(8, 8 + len(seq)))
    assert [*found.reordered] == reordered


def test_arrivals_wait_for_the_times_of_sending():
    ledger = Ledger()
    assert [*ledger.add(received((1, 70)))] == []
    with pytest.raises(RecordError, match="message 1 arrived; only 0 were sent"):
        ledger.finish()
    (found,) = ledger.add(sent(10, 20))
    assert [*found.latencies_ns] == [50]
    ledger.finish()


@pytest.mark.parametrize(
    ("events", "code"),
    [
        ([sent(1, first=1)], "incomplete-record"),
        ([sent(1), sent(2)], "incomplete-record"),
        ([sent(1), received((1, 5))], "unknown-message"),
        ([sent(1), received((-1, 5))], "unknown-message"),
        (
            [sent(1), parse_object({"event": "received", "seq": [0], "received_ns": [1, 2]})],
            "incomplete-record",
        ),
    ],
)
def test_a_record_with_gaps_is_refused(events, code):
    with pytest.raises(RecordError) as raised:
        filled(*events)
    assert raised.value.code == code


def test_columns_in_memory_are_matched_alike():
    ledger, found = match([0, 10], [1, 1], [15, 16])
    assert (ledger.delivered, ledger.duplicates, [*found.latencies_ns]) == (1, 1, [5])
    ledger, found = match([0, 10], [], [])
    assert (len(ledger), ledger.delivered, [*found.seq]) == (2, 0, [])
