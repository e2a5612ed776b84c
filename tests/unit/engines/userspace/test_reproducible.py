"""The same packets at the same times meet the same fate, in every process and however often it wakes."""

import hashlib
import subprocess
import sys
from pathlib import Path
from random import Random

from testbed.engines.userspace.core import LinkEmulator
from testbed.engines.userspace.segments import contents
from testbed.impairments import (
    CERTAIN,
    Bottleneck,
    Corruption,
    Drop,
    FqCoDel,
    GilbertElliott,
    Impairments,
    Jitter,
    RandomEvent,
    RateSteps,
    Reorder,
)
from tests.counting import counted

MS = 10**6
SHAPE = Impairments(
    delay_ns=20 * MS,
    jitter=Jitter(ns=5 * MS, distribution="paretonormal", correlation=CERTAIN // 4, keeps_order=False),
    loss=GilbertElliott(to_bad=CERTAIN // 50, to_good=CERTAIN // 3),
    drops=(Drop(every=97),),
    corruption=Corruption(event=RandomEvent(probability=CERTAIN // 20)),
    duplicate=RandomEvent(probability=CERTAIN // 20, correlation=CERTAIN // 5),
    reorder=Reorder(event=RandomEvent(probability=CERTAIN // 10), gap=3),
    bottleneck=Bottleneck(
        rate=RateSteps(starts_ns=(0, 70 * MS), rates_bps=(4_000_000, 1_000_000), period_ns=100 * MS),
        queue_bytes=50_000,
        discipline=FqCoDel(ecn=True),
    ),
)


def fate(wakes):
    """A digest of what leaves and when; the process wakes at times drawn with the seed `wakes`."""
    traffic, waking = Random(1), Random(wakes)
    link = LinkEmulator(SHAPE, 7, 0)
    digest = hashlib.sha256()
    now = 0

    def release(until):
        while (wakeup := link.next_wakeup()) is not None and wakeup <= until:
            for packet in map(contents, link.release(wakeup, 1)):
                digest.update(wakeup.to_bytes(8, "big") + packet)

    for number in range(3000):
        wait = traffic.randrange(2 * MS)
        if waking.random() < 0.5:
            release(now + waking.randrange(wait + 1))
        now += wait
        header = (
            bytes(12)
            + b"\x08\x00\x45"
            + bytes([number % 2 * 2])
            + (500).to_bytes(2, "big")
            + bytes(5)
            + b"\x11"
            + bytes(10)
        )
        host = bytes([number % 5])
        link.accept([header + host + bytes(4) + number.to_bytes(4, "big") + bytes(480 - 8)], now)
    release(1 << 62)
    stats = counted(link.stats())
    happened = (stats.scripted, stats.lost, stats.corrupted, stats.duplicated, stats.reordered, stats.early_drops)
    assert min(happened) > 0
    assert stats.marked > 0
    return digest.hexdigest()


def test_the_fate_of_packets_does_not_depend_on_when_the_process_wakes():
    assert fate(1) == fate(2)


def test_the_fate_of_packets_is_the_same_in_another_process():
    command = [sys.executable, "-c", f"import runpy; print(runpy.run_path({__file__!r})['fate'](3))"]
    output = subprocess.run(command, check=True, capture_output=True, text=True, cwd=Path.cwd()).stdout
    assert output.strip() == fate(3)
