"""The bytes that workloads send: pseudo-random, the same for the same seed at both ends."""

from __future__ import annotations

import random

PERIOD = 65521
"""The pattern's length before it repeats. It is prime, so data shifted by whole segments or pages never matches."""


def pattern(seed: int, length: int = PERIOD) -> bytes:
    """Return the first `length` bytes of a seed's pattern."""
    block = random.Random(seed).randbytes(PERIOD)
    return (block * (length // PERIOD + 1))[:length]
