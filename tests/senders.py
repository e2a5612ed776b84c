"""Senders that obey congestion, over one emulated link, in virtual time: as much of TCP as a queue sees."""

import struct
from dataclasses import dataclass, field
from heapq import heappop, heappush

from testbed.engines.userspace.core import LinkEmulator
from testbed.engines.userspace.segments import contents
from testbed.impairments import Bottleneck, FixedRate, Impairments

MS, S = 10**6, 10**9
FRAME_BYTES = 1500
NOT_ECT, ECT1, ECT0, CE = 0, 1, 2, 3
_HEADERS = bytes(12) + b"\x08\x00" + struct.pack("!BBHHHBBH", 0x45, 0, FRAME_BYTES - 14, 0, 0, 64, 17, 0) + bytes(8)
_LEAST_WINDOW = 2.0
_TIMEOUT_NS = 1 * S


@dataclass
class Sender:
    """A sender with a window of packets.

    Attributes:
        ecn: the ECN field of its packets.
        scalable: it reduces its window by half of the share of marked packets (as DCTCP, RFC 8257), with ECT(1); any
            other halves it, once a round trip, on a loss or a mark (as Reno, RFC 5681).
        round_trip_ns: without queueing.
        waits_ns: how long each packet waited at the link, with the time at which it left.
        marks, losses: counted.
    """

    ecn: int = NOT_ECT
    scalable: bool = False
    round_trip_ns: int = 20 * MS
    window: float = 10.0
    slow_start: bool = True
    in_flight: int = 0
    next_number: int = 0
    acked: int = 0
    recover: int = 0
    marked_in_round: int = 0
    alpha: float = 1.0
    marks: int = 0
    losses: int = 0
    waits_ns: list[tuple[int, int]] = field(default_factory=list)

    def packets(self, number):
        """Return the packets that its window allows now."""
        sent = []
        while self.in_flight < int(self.window):
            packet = bytearray(_HEADERS + number.to_bytes(2, "big") + self.next_number.to_bytes(4, "big"))
            packet[15] = self.ecn
            sent.append(packet)
            self.in_flight += 1
            self.next_number += 1
        return sent

    def acknowledged(self, number, *, marked):
        """Take the acknowledgement of a packet; those before it that were not acknowledged are lost."""
        lost = number - self.acked
        self.acked = number + 1
        self.in_flight -= 1 + lost
        self.losses += lost
        self.marks += marked
        self.marked_in_round += marked
        ends_round = number >= self.recover
        if self.scalable and ends_round:
            self.alpha += (self.marked_in_round / max(self.window, 1) - self.alpha) / 16
        reduces = lost or marked
        if reduces and (ends_round or self.slow_start):
            share = self.alpha / 2 if self.scalable and not lost else 0.5
            self.window = max(self.window * (1 - share), _LEAST_WINDOW)
            self.slow_start = False
        elif self.slow_start:
            self.window += 1
        else:
            self.window += 1 / self.window
        if ends_round:
            self.recover, self.marked_in_round = self.next_number, 0

    def timed_out(self):
        """Begin again, as if everything in flight were lost."""
        self.losses += self.in_flight
        self.acked, self.in_flight, self.window = self.next_number, 0, _LEAST_WINDOW

    def late_waits_ns(self, since):
        """Return the waits of packets that left from `since` on, ascending."""
        return sorted(wait for left, wait in self.waits_ns if left >= since)


def run(senders, discipline, *, rate=10_000_000, queue_bytes=1_000_000, until=20 * S, seed=1):
    """Let senders share a link until a time, and return the link."""
    bottleneck = Bottleneck(rate=FixedRate(bps=rate), queue_bytes=queue_bytes, discipline=discipline)
    link = LinkEmulator(Impairments(bottleneck=bottleneck), seed, 0)
    acks: list[tuple[int, int, int, bool]] = []
    now = 0
    frame_ns = FRAME_BYTES * 8 * S // rate
    heard = [0] * len(senders)
    begin = {number: number * 7 * MS for number in range(len(senders))}
    while now < until:
        for number, sender in enumerate(senders):
            if now - heard[number] >= _TIMEOUT_NS:
                heard[number] = now
                sender.timed_out()
            if now >= begin[number] and (packets := sender.packets(number)):
                link.accept([bytes(packet) + now.to_bytes(8, "big") + bytes(FRAME_BYTES - len(packet) - 8)
                             for packet in packets], now)  # fmt: skip
        times = [link.next_wakeup(), acks[0][0] if acks else None, *(at for at in begin.values() if at > now)]
        times += [at + _TIMEOUT_NS for at in heard]
        now = min(at for at in times if at is not None)
        for packet in map(contents, link.release(now, 1)):
            number, sequence, sent = struct.unpack_from("!HIQ", packet, 34)
            sender = senders[number]
            sender.waits_ns.append((now, now - sent - frame_ns))
            heappush(acks, (now + sender.round_trip_ns, number, sequence, packet[15] & 3 == CE))
        while acks and acks[0][0] <= now:
            _, number, sequence, marked = heappop(acks)
            heard[number] = now
            senders[number].acknowledged(sequence, marked=marked)
    return link


def quantile(ordered, share):
    """Return a quantile of ascending values."""
    return ordered[int(share * (len(ordered) - 1))]
