from array import array

import pytest

from testbed.check.trains import TrainRecord

MS = 1_000_000


def seen(*arrivals, sent=8):
    return TrainRecord(
        frame_bytes=54,
        sent_ns=array("q", [2 * MS * number for number in range(sent)]),
        sequence=array("q", [number for number, _ in arrivals]),
        received_ns=array("q", [at_ns for _, at_ns in arrivals]),
        unexpected=0,
    ).sample(scripted=0)


def in_order(*numbers):
    return [(number, (2 * number + 20) * MS) for number in numbers]


def test_delays_and_losses():
    found = seen(*in_order(0, 1, 4, 7))
    assert (found.sent, found.arrived, found.runs) == (8, 4, 2)
    assert found.delays_ns == [20 * MS] * 4
    assert (found.duplicates, found.reordered, found.overtaking) == (0, 0, 0)
    assert found.sent_ns[1] == 2 * MS


def test_of_a_duplicate_the_first_arrival_counts():
    found = seen((0, 20 * MS), (0, 30 * MS), *in_order(1, 2, 3, 4, 5, 6, 7))
    assert (found.arrived, found.duplicates) == (8, 1)
    assert found.delays_ns[0] == 20 * MS


def test_one_late_packet_is_reordered_and_those_behind_it_overtake():
    found = seen(*in_order(0, 2, 3), (1, 27 * MS), *in_order(4, 5, 6, 7))
    assert (found.reordered, found.overtaking) == (1, 2)


def test_one_early_packet_overtakes_and_those_before_it_are_reordered():
    found = seen((5, 11 * MS), *in_order(0, 1, 2, 3, 4, 6, 7))
    assert (found.reordered, found.overtaking) == (5, 1)
    assert found.delays_ns == [20 * MS] * 5 + [MS] + [20 * MS] * 2


def test_the_number_zero_may_overtake_too():
    assert seen(*in_order(0, 1)).overtaking == 0


@pytest.mark.parametrize(("sent_ns", "crowded"), [([0, 1, 2, 30 * MS], True), ([0, 10 * MS, 20 * MS, 30 * MS], False)])
def test_the_delay_of_a_probe_that_met_another_at_the_bottleneck_does_not_count(sent_ns, crowded):
    record = TrainRecord(
        frame_bytes=54,
        sent_ns=array("q", sent_ns),
        sequence=array("q", range(4)),
        received_ns=array("q", [at_ns + (20 + place * crowded) * MS for place, at_ns in enumerate(sent_ns)]),
        unexpected=0,
    )
    sample = record.sample(scripted=0, service_ns=MS)
    assert (sample.sent, sample.arrived, sample.crowded) == (4, 4, crowded)
    assert sample.delays_ns == ([20 * MS, 23 * MS] if crowded else [20 * MS] * 4)
