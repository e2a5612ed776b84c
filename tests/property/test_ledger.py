"""The ledger against a slow model that follows each message by itself."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from testbed.endpoint.columns import encode
from testbed.records import Ledger, parse_object

if TYPE_CHECKING:
    from collections.abc import Sequence

TIMES = st.integers(-50, 50)


@st.composite
def traffic(draw):
    """When messages were sent, and arrivals in any order: some never, some twice or more, some before the sending."""
    sent_ns = draw(st.lists(TIMES, max_size=12))
    arrivals = draw(st.lists(st.tuples(st.integers(0, len(sent_ns) - 1), TIMES), max_size=30)) if sent_ns else []
    return sent_ns, arrivals


def events(draw, sent_ns: Sequence[int], arrivals: Sequence[tuple[int, int]]):
    """The lines of both ends, cut anywhere and mixed; each end's own are in order."""
    lines: list[list[dict[str, Any]]] = [[], []]
    rest = 0
    while rest < len(sent_ns):
        size = draw(st.integers(1, 5))
        lines[0].append({"event": "sent", "first": rest, "sent_ns": encode(sent_ns[rest : rest + size])})
        rest += size
    rest = 0
    while rest < len(arrivals):
        size = draw(st.integers(1, 5))
        seq, at = zip(*arrivals[rest : rest + size], strict=True)
        lines[1].append({"event": "received", "seq": encode(seq), "received_ns": encode(at)})
        rest += size
    while any(lines):
        yield parse_object(draw(st.sampled_from([one for one in lines if one])).pop(0))


@given(st.data(), traffic(), st.none() | st.integers(0, 60))
def test_the_ledger_agrees_with_a_model_of_each_message(data, messages, timeout_ns):
    sent_ns, arrivals = messages
    ledger = Ledger(timeout_ns)
    found = [one for event in events(data.draw, sent_ns, arrivals) for one in ledger.add(event)]
    ledger.finish()

    copies: dict[int, list[int]] = {number: [] for number in range(len(sent_ns))}
    latencies, duplicates, reordered = [], [], []
    for number, at_ns in arrivals:
        latency_ns = at_ns - sent_ns[number]
        if timeout_ns is not None and latency_ns > timeout_ns:
            continue
        if copies[number]:
            duplicates.append(number)
        else:
            if any(copies[later] for later in range(number + 1, len(sent_ns))):
                reordered.append(number)
            latencies.append((number, latency_ns))
        copies[number].append(at_ns)
    delivered = {number for number, times in copies.items() if times}
    late = {number for number, _ in arrivals} - delivered

    assert len(ledger) == len(sent_ns)
    assert [pair for one in found for pair in zip(one.seq, one.latencies_ns, strict=True)] == latencies
    assert [number for one in found for number in one.duplicates] == duplicates
    assert [number for one in found for number in one.reordered] == reordered
    assert all(
        at - sent == latency and sent == sent_ns[number]
        for one in found
        for number, sent, at, latency in zip(one.seq, one.sent_ns, one.received_ns, one.latencies_ns, strict=True)
    )
    assert (ledger.delivered, ledger.late) == (len(delivered), len(late))
    assert (ledger.duplicates, ledger.reordered) == (len(duplicates), len(reordered))
    runs = [[*run] for lost, run in groupby(range(len(sent_ns)), lambda number: number not in delivered) if lost]
    assert [[*run] for run in ledger.loss_runs()] == runs
    assert sum(map(len, runs)) == ledger.lost(0, len(sent_ns))


@given(st.lists(st.integers(0, 1000), unique=True), st.integers(0, 1000))
def test_messages_in_order_are_not_reordered(numbers, at_ns):
    ledger = Ledger()
    [*ledger.add(parse_object({"event": "sent", "first": 0, "sent_ns": encode([0] * 1001)}))]
    times = encode([at_ns] * len(numbers))
    [*ledger.add(parse_object({"event": "received", "seq": encode(sorted(numbers)), "received_ns": times}))]
    assert (ledger.reordered, ledger.delivered) == (0, len(numbers))
