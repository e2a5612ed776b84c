"""Loss by script: which frames match, and which of those are dropped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from testbed.engines.userspace import headers
from testbed.engines.userspace.segments import contents

if TYPE_CHECKING:
    from testbed.engines.userspace.segments import Packet
    from testbed.engines.userspace.stages.stage import Counts, Frame
    from testbed.impairments import Drop

_FLAGS: Final = {letter: 1 << bit for bit, letter in enumerate("fsrpau")}


class _Rule:
    """One `Drop`, and the number of frames that have matched it."""

    def __init__(self, drop: Drop) -> None:
        self._protocol = drop.protocol
        self._port = drop.port
        self._set = sum(_FLAGS[letter] for letter in drop.flags if letter.islower())
        self._unset = sum(_FLAGS[letter.lower()] for letter in drop.flags if letter.isupper())
        self._payload = drop.payload
        self._numbers = frozenset(drop.numbers)
        self._every = drop.every
        self._matched = 0

    def drops(self, frame: bytes, parsed: headers.Headers) -> bool:
        if not self._matches(frame, parsed):
            return False
        self._matched += 1
        return self._matched in self._numbers or bool(self._every and not self._matched % self._every)

    def _matches(self, frame: bytes, parsed: headers.Headers) -> bool:
        if self._protocol not in ("any", parsed.protocol):
            return False
        if self._port and self._port not in headers.ports(frame, parsed):
            return False
        if self._set or self._unset:
            flags = headers.tcp_flags(frame, parsed)
            if not parsed.transport or flags & self._unset or ~flags & self._set:
                return False
        return self._payload is None or bool(parsed.payload) == self._payload


class ScriptedLoss:
    """Drops the frames that a rule selects; each rule counts all frames that match it, even if another drops them.

    Nothing is random. Only the first fragment of a fragmented packet has ports and flags.
    """

    __slots__ = ("_counts", "_rules")

    def __init__(self, drops: tuple[Drop, ...], counts: Counts) -> None:
        self._rules = [_Rule(drop) for drop in drops]
        self._counts = counts

    def cross(self, frames: list[Frame]) -> list[Frame]:
        """Return the frames that the script does not drop."""
        kept = [frame for frame in frames if not self._drops(frame[1])]
        self._counts.scripted += len(frames) - len(kept)
        return kept

    def _drops(self, packet: Packet) -> bool:
        frame = contents(packet)
        parsed = headers.parse(frame)
        dropping = [rule for rule in self._rules if rule.drops(frame, parsed)]  # every rule counts
        return bool(dropping)
