"""How fast a long record is summarised and drawn: `python -m tests.bench.bench_records [MILLIONS]`.

The record is of a udp-stream of ten million datagrams, with losses, jitter and reordering, in lines as the endpoints
write them. Summary and report are made in a process each, whose processor time and peak memory the kernel tells; the
goal is that both together take less than 20 s and that neither takes more than 200 MB.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from testbed import plan, report, topology
from testbed.records import format_line, parse
from testbed.runs import RunWriter, load
from testbed.workloads.endpoints import kind_of

MILLION = 1_000_000
ROWS = 10_000
GOAL_S, GOAL_MB = 20, 200
RATE_PER_S = 100_000
SIZE = 100
TEXT = f"""
name: long
seed: 3
nodes: {{a: , b: }}
links: [{{from: a, to: b, delay: 20ms, jitter: 2ms, loss: 1%}}]
workloads:
  - {{name: flood, kind: udp-stream, from: a, to: b, rate: {RATE_PER_S * SIZE * 8 // MILLION}mbit, size: {SIZE}B,
     duration: SECONDSs}}
"""


def write(path: Path, count: int) -> None:
    """Write a record of so many datagrams, of which one in a hundred is lost and a few overtake others."""
    chance = random.Random(3)
    gap_ns, start_ns = 1_000_000_000 // RATE_PER_S, 10**13
    with path.open("w", encoding="utf-8") as file:
        for first in range(0, count, ROWS):
            numbers = range(first, min(first + ROWS, count))
            late = [chance.randrange(gap_ns // 2) for _ in numbers]
            sent = [start_ns + number * gap_ns + late[number - first] for number in numbers]
            file.write(format_line("a", "sent", {"sent_ns": sent}, first=first))
            kept = [number for number in numbers if chance.random() >= 0.01]
            for place in range(500, len(kept) - 1, 1000):
                kept[place], kept[place + 1] = kept[place + 1], kept[place]
            arrived, before = [], 0
            for number in kept:
                before = max(before, sent[number - first] + 20_000_000 + chance.randrange(2_000_000))
                arrived.append(before)
            file.write(format_line("b", "received", {"seq": kept, "received_ns": arrived}))
        file.write(json.dumps({"node": "a", "event": "end", "count": count, "start_ns": start_ns}) + "\n")
        ends = {"corrupted": 0, "strangers": 0, "drops": 0}
        file.write(json.dumps({"node": "b", "event": "end", **ends}) + "\n")


def make_run(root: Path, count: int) -> Path:
    """Write a run with such a record, and return its directory."""
    text = TEXT.replace("SECONDS", str(count // RATE_PER_S))
    resolved = plan.resolve(topology.loads(text, "long.yml"))
    with RunWriter(root, resolved, runtime="netns") as writer:
        write(writer.run.path / "samples" / "flood.jsonl", count)
        writer.finished((), ())
    return writer.run.path


def summarise(path: Path) -> None:
    """Summarise the record as a run does while the endpoints report."""
    run = load(path)
    (workload,) = run.plan.workloads
    summariser = kind_of(workload).summariser(workload)
    with (path / "samples" / "flood.jsonl").open(encoding="utf-8") as lines:
        for line in lines:
            summariser.add(parse(line))
    summary = summariser.finish()
    print(f"sent {summary.number('sent')}, lost {summary.number('lost')}, p99 {summary.number('latency_p99_ns')}")


def draw(path: Path) -> None:
    """Write the report."""
    print(report.write(load(path)))


PARTS = {"summarise": summarise, "draw": draw}


def main(millions: float = 10) -> None:
    """Write a record of so many datagrams, and measure each part in a process of its own."""
    count = int(millions * MILLION)
    with tempfile.TemporaryDirectory(prefix="testbed-bench-") as directory:
        path = make_run(Path(directory), count)
        size = (path / "samples" / "flood.jsonl").stat().st_size
        print(f"{count:,} datagrams, a record of {size / MILLION:.0f} MB")
        total_s = most_mb = 0.0
        for part in PARTS:
            began = time.monotonic()
            process = subprocess.Popen([sys.executable, "-m", "tests.bench.bench_records", part, str(path)])
            _, status, used = os.wait4(process.pid, 0)
            if status:
                sys.exit(f"{part} failed")
            wall_s, cpu_s, peak_mb = time.monotonic() - began, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024
            print(f"{part:<10} {wall_s:6.1f} s, of the processor {cpu_s:6.1f} s, at most {peak_mb:4.0f} MB")
            total_s, most_mb = total_s + cpu_s, max(most_mb, peak_mb)
        verdict = "yes" if total_s < GOAL_S and most_mb < GOAL_MB else "NO"
        print(f"together   {total_s:6.1f} s, {most_mb:.0f} MB; less than {GOAL_S} s and {GOAL_MB} MB: {verdict}")


if __name__ == "__main__":
    if sys.argv[1:2] and sys.argv[1] in PARTS:
        PARTS[sys.argv[1]](Path(sys.argv[2]))
    else:
        main(*map(float, sys.argv[1:]))
