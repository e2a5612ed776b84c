"""Messages by the hundred thousand, and what became of them."""

from __future__ import annotations

import tracemalloc
from itertools import groupby, islice
from random import Random
from typing import TYPE_CHECKING, Any

from testbed.endpoint.columns import encode
from testbed.records import parse_object
from testbed.workloads import metrics
from testbed.workloads.messages import Messages
from testbed.workloads.summary import Figures

if TYPE_CHECKING:
    from collections.abc import Iterator

STEP = 20_000
ROWS = 10_000


def lines(count: int, random: Random) -> Iterator[dict[str, Any]]:
    """The record of messages sent every 20 us: 2 % are lost, 1 % come twice, and 1 % overtake some."""
    for first in range(0, count, ROWS):
        sent = range(first, min(first + ROWS, count))
        yield {"event": "sent", "first": first, "sent_ns": encode([number * STEP for number in sent])}
    arrivals = (
        (number, number * STEP + (5_000_000 if random.random() > 0.01 else 1_000_000) + random.randrange(10_000))
        for number in range(count)
        if random.random() > 0.02
        for _ in range(1 + (random.random() < 0.01))
    )
    while rows := list(islice(arrivals, ROWS)):
        rows.sort(key=lambda row: row[1])
        yield {
            "event": "received",
            "seq": encode([number for number, _ in rows]),
            "received_ns": encode([at for _, at in rows]),
        }


def summarised(count: int) -> dict[str, Any]:
    """The figures of so many messages."""
    messages, figures = Messages(), Figures()
    for line in lines(count, Random(1)):
        messages.add(parse_object(line))
    messages.finished()
    messages.put_counts(figures)
    messages.put_loss(figures)
    messages.put_latency(figures)
    messages.put_stream(figures, 100)
    return figures.values


def peak(count: int) -> int:
    """The most bytes that this takes meanwhile."""
    tracemalloc.start()
    summarised(count)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return most


def test_memory_holds_a_byte_per_message():
    assert peak(8 * ROWS) - peak(3 * ROWS) < 4 * 5 * ROWS  # one that grows is moved meanwhile


def test_metrics_equal_those_of_all_arrivals_at_once():
    count = 3 * ROWS + 7
    figures = summarised(count)
    first: dict[int, int] = {}
    arrivals = duplicates = 0
    for line in lines(count, Random(1)):
        if line["event"] == "received":
            number = at = 0
            for step, later in zip(line["seq"], line["received_ns"], strict=True):
                number, at = number + step, at + later
                duplicates += number in first
                arrivals += 1
                first.setdefault(number, at)
    latencies = sorted(at - number * STEP for number, at in first.items())
    runs = [len([*run]) for lost, run in groupby(range(count), lambda number: number not in first) if lost]
    expected = {
        "sent": count,
        "delivered": len(first),
        "lost": count - len(first),
        "duplicates": duplicates,
        "loss_runs": len(runs),
        "loss_run_max": max(runs),
        "latency_min_ns": latencies[0],
        "latency_p50_ns": metrics.percentile(latencies, 50),
        "latency_p90_ns": metrics.percentile(latencies, 90),
        "latency_p99_ns": metrics.percentile(latencies, 99),
        "latency_max_ns": latencies[-1],
        "jitter_ns": round(metrics.jitter_ns([at - number * STEP for number, at in first.items()]) or 0),
    }
    assert {name: figures[name] for name in expected} == expected
    assert duplicates
    assert arrivals > len(first)
