"""ping, an independent judge of round trips, on a machine that may be late.

After its last packet, ping waits for two of its longest round trips or one interval, whatever `-W` says, and counts
what is on its way then as lost (iputils, `__schedule_exit`): on a busy machine, answers that come are missing. With
`-w` it goes on until `-c` packets are answered.
"""

from __future__ import annotations

import re

PATIENCE_S = 60
AGAIN = 4


def until_answered(target, *options, count=20, interval_s=0.02):
    """The command that sends packets until `count` of them are answered; only then its status is 0."""
    return ["ping", "-n", "-c", str(count), "-i", str(interval_s), "-w", str(PATIENCE_S), *options, target]


def round_trips(said):
    """The round-trip time of each answered packet, ms, by its sequence number."""
    return {int(number): float(took) for number, took in re.findall(r"icmp_seq=(\d+) .*time=([\d.]+) ms", said)}


def complete(said, count=20):
    """The round-trip times of the first `count` packets, none of which is lost, ms."""
    found = round_trips(said)
    assert found.keys() >= {*range(1, count + 1)}, said
    return [found[number] for number in range(1, count + 1)]


def least(measure, most_ms):
    """The least round trip of up to five measurements, until it is not too long: lateness only makes it longer."""
    found = measure()
    for _ in range(AGAIN):
        if found <= most_ms:
            break
        found = min(found, measure())
    return found


def sent(said):
    """How many packets ping has sent."""
    (number,) = re.findall(r"(\d+) packets transmitted", said)
    return int(number)
