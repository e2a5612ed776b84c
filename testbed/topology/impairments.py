"""The keys of a link's impairments."""

from collections.abc import Iterator
from dataclasses import replace

from testbed import units
from testbed.impairments import (
    CLEAR,
    Blackhole,
    Bottleneck,
    DelaySteps,
    DropTail,
    FixedRate,
    Impairments,
    Jitter,
    Loss,
    Policer,
    Reorder,
    TokenBucket,
    Trace,
)
from testbed.topology.base import Fault, Model, key
from testbed.topology.bottleneck import BurstyRate, PolicerKeys, PolicerValue, QueueValue, RateValue, Traced
from testbed.topology.effects import (
    CorruptedValue,
    DelayValue,
    DuplicationValue,
    JitterValue,
    ReorderingValue,
    TracedDelay,
)
from testbed.topology.losses import Drops, LossValue, drop_faults, drops
from testbed.topology.queue_sizes import QueueSize
from testbed.topology.values import Flag, Overhead

ETHERNET_HEADER = 14
"""Bytes of a frame besides its IP packet, as `Impairments` counts them."""


class ImpairmentKeys(Model):
    """The keys of a link that describe its impairments; None if a key is not given."""

    delay: DelayValue | None = key("Propagation delay of one direction. Or a mapping: a trace", default=None)
    jitter: JitterValue | None = key(
        "How far a packet's delay may be off, either way, uniformly; packets keep their order. Or a mapping: another "
        "distribution",
        default=None,
    )
    loss: LossValue | None = key(
        "Share of packets that are lost, independently of each other. Or a mapping: other kinds of loss", default=None
    )
    drop: Drops | None = key(
        "Packets lost by script: their numbers, from 1, or which of what kind", default=None, example=[3, 17]
    )
    policer: PolicerValue | None = key(
        "A rate beyond which packets are lost, without a queue, and the burst that passes at once; 0 is none",
        default=None,
    )
    blackhole: Flag | None = key(
        "Whether all packets are lost, regardless of the other keys", default=None, example=True
    )
    corrupt: CorruptedValue | None = key("Share of packets in which one bit is inverted", default=None)
    duplicate: DuplicationValue | None = key("Share of packets that arrive twice", default=None)
    reorder: ReorderingValue | None = key("Share of packets that overtake others, or are overtaken", default=None)
    rate: RateValue | None = key(
        "Rate of the bottleneck, in bits of Ethernet frames; 0 is unlimited. Or a mapping: a trace, or with bursts",
        default=None,
    )
    overhead_bytes: Overhead | None = key(
        "Bytes that each frame counts for at the bottleneck besides its own", alias="overhead", default=None
    )
    queue: QueueValue | None = key(
        "Size of the bottleneck's queue: bytes (64KB), full frames (100 packets), time at the rate (100ms) or "
        "bandwidth-delay products of the round trip (1bdp, the default; at least 10 full frames). Or a mapping: other "
        "disciplines than droptail",
        default=None,
    )

    @property
    def named(self) -> tuple[str, ...]:
        """The keys that are given, in the file's words."""
        fields = ImpairmentKeys.model_fields.items()
        return tuple(field.alias or name for name, field in fields if name in self.model_fields_set)

    def overridden_by(self, other: "ImpairmentKeys") -> "ImpairmentKeys":
        """Return these keys, with the keys that `other` gives in place of their own."""
        given = other.model_fields_set & ImpairmentKeys.model_fields.keys()
        return self.model_copy(update={name: getattr(other, name) for name in given})

    def resolve(self, now: Impairments = CLEAR, *, mtu: int, delay_back_ns: int) -> Impairments:
        """Return the impairments of a link after these keys are applied.

        Args:
            now: the present impairments of the link, which stay unless a key replaces them. A new bottleneck has the
                default queue; a removed one leaves its queue to the next. The size of a queue follows the rate if it
                was given as a time, otherwise it stays. A blackhole ends when it is set to false, which restores the
                loss from before, or when a loss is given.
            mtu: bytes of an IP packet on the network.
            delay_back_ns: delay of the opposite direction, for a queue in bandwidth-delay products.

        Raises:
            ValueError: there are `contradictions`.
        """
        for fault in self.contradictions(now, mtu=mtu):
            raise ValueError(f"{'.'.join(map(str, fault.path))} {fault.said}")
        frame, delay_ns = mtu + ETHERNET_HEADER, self._delay_ns(now)
        bottleneck = self._bottleneck(now, frame, delay_ns + delay_back_ns)
        return Impairments(
            delay_ns=delay_ns,
            delay_trace=self._delay_trace(now),
            jitter=self._jitter(now),
            loss=self._loss(now),
            drops=now.drops if self.drop is None else drops(self.drop),
            policer=self._policer(now),
            corruption=now.corruption if self.corrupt is None else self.corrupt.corruption,
            duplicate=now.duplicate if self.duplicate is None else self.duplicate.event,
            reorder=self._reorder(now),
            bottleneck=bottleneck,
            hidden_bottleneck=None if bottleneck else self._hidden_bottleneck(now),
        )

    def contradictions(self, now: Impairments = CLEAR, *, mtu: int) -> Iterator[Fault]:
        """Yield the contradictions within a key, between keys, and between keys and the present impairments `now`."""
        faults = list(self._within())
        yield from faults or self._between(now, mtu + ETHERNET_HEADER)

    def _within(self) -> Iterator[Fault]:
        bursty = self.rate if isinstance(self.rate, BurstyRate) else None
        for name, value in (("jitter", self.jitter), ("loss", self.loss), ("rate", bursty), ("queue", self.queue)):
            if value is not None:
                yield from (fault.under(name) for fault in value.faults())
        if self.drop is not None:
            yield from (fault.under("drop") for fault in drop_faults(self.drop))

    def _between(self, now: Impairments, frame: int) -> Iterator[Fault]:
        delay_ns, jitter, reorder, rate = self._delay_ns(now), self._jitter(now), self._reorder(now), self._rate(now)
        trace, policer = self._delay_trace(now), self._policer(now)
        shortest_ns = min(trace.delays_ns) if trace else delay_ns
        if jitter and jitter.ns > shortest_ns:
            least = f"{'least ' * bool(trace)}delay, {units.DURATION.format(shortest_ns)}"
            message = f"is {units.DURATION.format(jitter.ns)}, more than the {least}"
            yield Fault(("jitter",), "jitter-exceeds-delay", message, "a packet cannot arrive before it left")
        if reorder and not reorder.late_ns and not delay_ns:
            hint = "a packet overtakes those in flight: give a delay, or say how much later it comes (late: 10ms)"
            yield Fault(("reorder",), "reorder-without-delay", "has no delay beside it", hint)
        yield from _burst_faults("policer", policer, frame, "no full frame would ever pass")
        bucket = rate if isinstance(rate, TokenBucket) else None
        yield from _burst_faults("rate", bucket, frame + self._overhead(now), "less is no burst")
        if rate:
            size = self._queue_bytes(now, rate, frame, delay_ns)
            if not frame <= size <= units.LARGEST:
                message = f"comes to {units.SIZE.format(size)}, must hold at least one full frame, {frame} B"
                hint = "" if size else "what drops all that exceeds a rate is a policer: {rate: 10mbit, burst: 64KB}"
                yield Fault(("queue",), "queue-too-small", message, hint)
            elif self.queue is not None:
                faults = self.queue.threshold_faults(frame=frame, rate_bps=rate.mean_bps, queue_bytes=size)
                yield from (fault.under("queue") for fault in faults)
            return
        if self.overhead_bytes:
            hint = "overhead is what the bottleneck counts: give a rate"
            yield Fault(("overhead",), "overhead-without-rate", "has no rate beside it", hint)
        if self.queue is not None:
            hint = "a queue is what waits for the bottleneck: give a rate"
            yield Fault(("queue",), "queue-without-rate", "has no rate beside it", hint)

    @property
    def delay_ns(self) -> int | None:
        """The delay, ns; of a trace the mean; None if it is not given."""
        return self.delay.trace.mean_ns if isinstance(self.delay, TracedDelay) else self.delay

    def _delay_ns(self, now: Impairments) -> int:
        return now.delay_ns if self.delay_ns is None else self.delay_ns

    def _delay_trace(self, now: Impairments) -> DelaySteps | None:
        if self.delay is None:
            return now.delay_trace
        return self.delay.trace if isinstance(self.delay, TracedDelay) else None

    def _policer(self, now: Impairments) -> Policer | None:
        if self.policer is None:
            return now.policer
        return self.policer.policer if isinstance(self.policer, PolicerKeys) else None

    def _jitter(self, now: Impairments) -> Jitter | None:
        return now.jitter if self.jitter is None else self.jitter.jitter

    def _reorder(self, now: Impairments) -> Reorder | None:
        return now.reorder if self.reorder is None else self.reorder.reorder

    def _loss(self, now: Impairments) -> Loss | None:
        """Return the loss; a blackhole hides it, and a present blackhole stays if neither key is given."""
        before = now.loss.hidden if isinstance(now.loss, Blackhole) else now.loss
        loss = before if self.loss is None else self.loss.loss
        stays = self.blackhole is None and self.loss is None and isinstance(now.loss, Blackhole)
        return Blackhole(hidden=loss) if self.blackhole or stays else loss

    def _rate(self, now: Impairments) -> FixedRate | Trace | None:
        if self.rate is None:
            return now.bottleneck.rate if now.bottleneck else None
        if isinstance(self.rate, Traced):
            return self.rate.trace
        if isinstance(self.rate, BurstyRate):
            return self.rate.bucket
        return FixedRate(bps=self.rate) if self.rate else None

    def _overhead(self, now: Impairments) -> int:
        before = now.bottleneck or now.hidden_bottleneck
        return (before.overhead_bytes if before else 0) if self.overhead_bytes is None else self.overhead_bytes

    def _bottleneck(self, now: Impairments, frame: int, round_trip_ns: int) -> Bottleneck | None:
        rate, before = self._rate(now), now.bottleneck or now.hidden_bottleneck
        if rate is None:
            return None
        bottleneck = Bottleneck(
            rate=rate,
            queue_bytes=self._queue_bytes(now, rate, frame, round_trip_ns),
            queue_ns=self._queue_ns(before),
            discipline=before.discipline if before else DropTail(),
            overhead_bytes=self._overhead(now),
        )
        if self.queue is not None:
            discipline = self.queue.chosen(frame=frame, rate_bps=rate.mean_bps)
            bottleneck = replace(bottleneck, discipline=discipline)
        return bottleneck

    def _hidden_bottleneck(self, now: Impairments) -> Bottleneck | None:
        """Return the last bottleneck of a link that now has none."""
        last = now.bottleneck or now.hidden_bottleneck
        return replace(last, overhead_bytes=0) if last and self.overhead_bytes == 0 else last

    def _queue_ns(self, before: Bottleneck | None) -> int:
        """Return the size of the queue as a time, ns; 0 if it is not given as a time."""
        if self.queue and self.queue.limit:
            return self.queue.limit.time_ns or 0
        return before.queue_ns if before else 0

    def _queue_bytes(self, now: Impairments, rate: FixedRate | Trace, frame: int, round_trip_ns: int) -> int:
        """Return the size of the queue in bytes, which may be out of range."""
        before, limit = now.bottleneck or now.hidden_bottleneck, self.queue.limit if self.queue else None
        if queue_ns := self._queue_ns(before):
            limit = QueueSize(time_ns=queue_ns)
        if before and not limit:
            return before.queue_bytes
        return (limit or QueueSize(bdp=1)).bytes(frame=frame, rate_bps=rate.mean_bps, round_trip_ns=round_trip_ns)


def _burst_faults(name: str, bucket: Policer | TokenBucket | None, frame: int, why: str) -> Iterator[Fault]:
    if bucket and bucket.burst_bytes < frame:
        message = f"is {units.SIZE.format(bucket.burst_bytes)}, less than a full frame, {frame} B"
        yield Fault((name, "burst"), "burst-too-small", message, f"{why}: give a burst of at least that")
