"""What a record of links' counters says: totals, and the growth in equal parts of time."""

import pytest

from testbed.analysis.link_counts import Total, read
from testbed.records import RecordError, format_line

MS = 1_000_000


def line(link, at_ms, **columns):
    return format_line("", "link", {"at_ns": [at * MS for at in at_ms], **columns}, link=link)


@pytest.fixture
def record(tmp_path):
    def record(*lines):
        path = tmp_path / "links.jsonl"
        path.write_text("".join(lines))
        return path

    return record


def found_in(path, most=1):
    found = read(path, most)
    assert found is not None
    return found


def per_second(total):
    return [(at_ns // MS, value) for at_ns, value in total.per_second()]


def test_growth_is_spread_over_the_parts_that_it_took():
    total = Total(0, 100 * MS)
    for at_ms, value in ((0, 0), (150, 30), (200, 30), (300, 130)):
        total.add(at_ms * MS, value)
    assert per_second(total) == [(0, 200), (100, 100), (200, 1000)]


def test_looks_that_are_a_little_late_leave_no_gaps_and_no_double_parts():
    total = Total(0, 100 * MS)
    for number in range(50):
        total.add(number * 101 * MS, number * 101)  # a thousand per second
    assert [value for _, value in total.per_second()] == pytest.approx([1000] * 50)


def test_a_total_that_falls_has_begun_anew():
    total = Total(0, 100 * MS)
    for at_ms, value in ((0, 5000), (100, 5010), (200, 10)):
        total.add(at_ms * MS, value)
    assert per_second(total) == [(0, 100), (100, 100)]


def test_the_last_part_counts_as_far_as_the_total_is_known():
    total = Total(0, 100 * MS)
    for at_ms, value in ((0, 0), (100, 10), (150, 15)):
        total.add(at_ms * MS, value)
    assert per_second(total) == [(0, 100), (100, 100)]


def test_totals_are_of_the_whole_record_and_the_busiest_links_have_histories(record):
    found = found_in(
        record(
            line("a", (0, 100), bytes_out=[0, 50], packets_out=[0, 1], lost=[3, 4], queued_bytes=[0, 200]),
            line("b", (0, 100), bytes_out=[10, 900], packets_out=[1, 9], lost=[0, 0]),
            line("a", (200, 300), bytes_out=[60, 70], packets_out=[2, 3], lost=[4, 6], queued_bytes=[500, 0]),
        ),
        most=1,
    )
    assert list(found.totals) == ["b", "a"]
    assert dict(found.totals["a"]) == {"bytes_out": 70, "packets_out": 3, "lost": 3}
    assert found.totals["b"]["bytes_out"] == 890
    assert found.most_queued_bytes == {"a": 500}
    assert [history.link for history in found.busiest] == ["b"]
    assert (found.begun_ns, found.ended_ns) == (0, 300 * MS)


def test_only_reasons_that_occurred_are_drops(record):
    path = record(line("a", (0, 100), bytes_out=[0, 1], lost=[0, 2], queue_drops=[7, 7], early_drops=[0, 0]))
    (history,) = found_in(path).busiest
    assert [*history.drops()] == ["lost"]


def test_a_long_record_has_a_bounded_number_of_parts(record):
    at_ms = range(0, 3600 * 1000, 500)
    path = record(line("a", at_ms, bytes_out=[*at_ms], queued_bytes=[0] * len(at_ms)))
    (history,) = found_in(path).busiest
    assert len(history.totals["bytes_out"].per_second()) <= 301
    assert len([*history.queued_bytes]) <= 301


def test_an_empty_record_says_nothing(record):
    assert read(record(), most=1) is None


@pytest.mark.parametrize("damaged", ['{"event": "link"}\n', "none\n", line("a", (0, 1), bytes_out=[1])])
def test_a_damaged_record_is_an_error(record, damaged):
    with pytest.raises((RecordError, ValueError)):
        read(record(damaged), most=1)
