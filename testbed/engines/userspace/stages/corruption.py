"""Bit errors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed.engines.userspace import headers
from testbed.engines.userspace.segments import sealed
from testbed.engines.userspace.stages.stage import Counts, Frame, random_words

if TYPE_CHECKING:
    from testbed.engines.userspace.segments import Packet
    from testbed.impairments import Corruption


class BitErrors:
    """Inverts one bit of some frames that carry IP; other frames pass unchanged.

    The stage draws one word of `corruption` per frame and chooses the frame if the word is less than the probability.
    It then draws one word w of `corruption-bit` per chosen frame with n > 0 candidate bits and inverts bit number
    floor(w n / 2^32). The candidates are the bits of the IP packet. If the checksum is fixed, they are the bits of the
    TCP or UDP payload, in frames that contain the checksum (of fragments, only the first).
    """

    __slots__ = ("_choose", "_counts", "_draw", "_fix_checksum", "_probability")

    def __init__(self, corruption: Corruption, seed: str, counts: Counts) -> None:
        self._choose = random_words(seed, "corruption", corruption.event.correlation)
        self._draw = random_words(seed, "corruption-bit")
        self._probability = corruption.event.probability
        self._fix_checksum = corruption.fix_checksum
        self._counts = counts

    def cross(self, frames: list[Frame]) -> list[Frame]:
        """Return all frames, some of them with an inverted bit."""
        choose = self._choose
        probability = self._probability
        return [(now, self._spoilt(packet)) if choose() < probability else (now, packet) for now, packet in frames]

    def _spoilt(self, packet: Packet) -> Packet:
        frame = sealed(packet)
        parsed = headers.parse(frame)
        unseen = self._fix_checksum
        first = (parsed.payload if parsed.transport else 0) if unseen else parsed.network
        if not first or not parsed.end:
            return packet
        byte, bit = divmod(self._draw() * 8 * (parsed.end - first) >> 32, 8)
        self._counts.corrupted += 1
        if unseen:
            return headers.inverted_unseen(frame, parsed, first + byte, bit)
        return headers.inverted(frame, first + byte, bit)
