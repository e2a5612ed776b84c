"""Seeds of reproducible random numbers: all of them derive from the plan's seed."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from testbed.matching import LinkKey


def derive(seed: int, label: str) -> int:
    """Return a seed of 64 bits for a label; different labels give different seeds (SHA-256 of seed and label)."""
    return int.from_bytes(hashlib.sha256(f"{seed}\0{label}".encode()).digest()[:8], "big")


def of_name(name: str) -> int:
    """Return the seed of a topology that gives none: 32 bits, short enough to be copied by hand."""
    return derive(0, name) >> 32


def of_link(seed: int, link: LinkKey) -> int:
    """Return the seed of a link."""
    match = f" {link.match}" if link.match else ""
    return derive(seed, f"link {link.network} {link.source} {link.destination}{match}")
