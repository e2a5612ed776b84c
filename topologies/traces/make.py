"""Make the traces of this folder anew: `python topologies/traces/make.py`. They are of no real network.

Seeded, so that they come out the same every time.
"""

from __future__ import annotations

import math
import random
from pathlib import Path

HERE = Path(__file__).parent
STRAY = 0.1
"""How many of the delays are far from the others."""

PACKET_BITS = 8 * 1500
"""What one opportunity of a Mahimahi trace stands for, in bits of IP packets."""


def mobile(seconds: int = 10, mean_mbit: float = 3, outage: tuple[float, float] = (6, 7)) -> list[int]:
    """Opportunities to send, in milliseconds: a rate that wanders around its mean, with an outage."""
    generator = random.Random("mobile")
    times: list[int] = []
    level = credit = 0.0
    for millisecond in range(1, seconds * 1000 + 1):
        if millisecond % 100 == 1:  # ten times a second, a step of a walk that is drawn back to the mean
            level = 0.9 * level + generator.gauss(0, 0.35)
        if not outage[0] * 1000 <= millisecond < outage[1] * 1000:
            credit += mean_mbit * math.exp(level) * 1e3 / PACKET_BITS
        while credit >= 1:
            times.append(millisecond)
            credit -= 1
    return times


def train(seconds: int = 12, tunnel: tuple[int, int] = (7, 8)) -> list[tuple[int, int]]:
    """Seconds and kbit/s: near a station, away from it, through a tunnel, near the next one."""
    generator = random.Random("train")
    rates = [
        round(5000 + 4000 * math.cos(2 * math.pi * second / seconds) + generator.gauss(0, 300))
        for second in range(seconds)
    ]
    return [(second, 0 if tunnel[0] <= second < tunnel[1] else rate) for second, rate in enumerate(rates)]


def delays(count: int = 200) -> list[float]:
    """Delays in milliseconds: nine of ten close together, the others a good deal later."""
    generator = random.Random("delays")
    return [
        8 + generator.gauss(0, 0.4) + (generator.expovariate(1 / 6) if generator.random() < STRAY else 0)
        for _ in range(count)
    ]


if __name__ == "__main__":
    (HERE / "mobile.trace").write_text("".join(f"{time}\n" for time in mobile()))
    rows = "".join(f"{time},{rate}\n" for time, rate in train())
    (HERE / "train.csv").write_text(f"time_s,rate_kbit\n{rows}")
    (HERE / "delays.txt").write_text("".join(f"{delay:.3f}ms\n" for delay in delays()))
