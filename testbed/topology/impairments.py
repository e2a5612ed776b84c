"""What a link is asked to do to packets."""

from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any

from testbed import units
from testbed.impairments import CERTAIN, CLEAR, Impairments, Latent
from testbed.topology.base import Fault, Model, key
from testbed.topology.bottleneck import QueueValue, RateValue, Traced
from testbed.topology.effects import CorruptedValue, DuplicationValue, JitterValue, ReorderingValue
from testbed.topology.losses import Drops, Loss, drop_faults, drops
from testbed.topology.values import Duration, Flag, Limit, Overhead

ETHERNET_HEADER = 14
"""Bytes that a frame has beyond its IP packet, in `Impairments`'s count."""

Parts = Mapping[str, Any]
"""Fields of a `Impairments`."""


class ImpairmentKeys(Model):
    """The part of a link that says what happens to packets. What is None is not asked for."""

    delay_ns: Duration | None = key("Propagation delay of one direction", alias="delay", default=None)
    jitter: JitterValue | None = key(
        "How far a packet's delay may be off, either way, uniformly; packets keep their order. Or a mapping: another "
        "distribution",
        default=None,
    )
    loss: Loss | None = key(
        "Share of packets that are lost, independently of each other. Or a mapping: other kinds of loss", default=None
    )
    drop: Drops | None = key("Packets lost by script: their numbers, from 1, or which of what kind", default=None)
    blackhole: Flag | None = key("Everything is lost, whatever else is asked for", default=None)
    corrupt: CorruptedValue | None = key("Share of packets in which one bit is inverted", default=None)
    duplicate: DuplicationValue | None = key("Share of packets that arrive twice", default=None)
    reorder: ReorderingValue | None = key("Share of packets that overtake others, or are overtaken", default=None)
    rate: RateValue | None = key(
        "Rate of the bottleneck, in bits of Ethernet frames; 0 is unlimited. Or a mapping: a trace", default=None
    )
    overhead_bytes: Overhead | None = key(
        "What each frame counts for at the bottleneck beside its own bytes", alias="overhead", default=None
    )
    queue: QueueValue | None = key(
        "What waits before the bottleneck: bytes (64KB), full frames (100 packets), time at the rate (100ms) or "
        "bandwidth-delay products of the round trip (1bdp, the default; at least 10 full frames). Or a mapping: other "
        "disciplines than droptail",
        default=None,
    )

    def resolve(self, now: Impairments = CLEAR, *, mtu: int, delay_back_ns: int) -> Impairments:
        """The impairments of a link of which this is asked.

        Args:
            now: what the link does; it stays where nothing else is asked for. A bottleneck that is new has the default
                queue; one that goes leaves its queue to the next. The size of a queue follows the rate if it was given
                as a time, else it stays. A blackhole ends when it is taken back, which brings the loss back that was
                there before, or when another loss is asked for.
            mtu: bytes of an IP packet on the network.
            delay_back_ns: delay of the opposite direction, for a queue in bandwidth-delay products.

        Raises:
            ValueError: there are `contradictions`.
        """
        for fault in self.contradictions(now, mtu=mtu):
            raise ValueError(f"{'.'.join(map(str, fault.path))} {fault.said}")
        return Impairments(**self._whole(now, mtu + ETHERNET_HEADER, delay_back_ns))

    def contradictions(self, now: Impairments = CLEAR, *, mtu: int) -> Iterator[Fault]:
        """What cannot be had together: within one key, between keys, or with what the link does `now`."""
        found = list(self._within())
        yield from found or self._between(self._whole(now, mtu + ETHERNET_HEADER, 0), mtu + ETHERNET_HEADER)

    def _within(self) -> Iterator[Fault]:
        for name, value in (("jitter", self.jitter), ("loss", self.loss), ("queue", self.queue)):
            if value is not None:
                yield from (fault.under(name) for fault in value.faults())
        if self.drop is not None:
            yield from (fault.under("drop") for fault in drop_faults(self.drop))

    def _between(self, parts: Parts, frame: int) -> Iterator[Fault]:
        delay, jitter = parts["delay_ns"], parts["jitter_ns"]
        if jitter > delay:
            message = f"is {units.DURATION.format(jitter)}, more than the delay, {units.DURATION.format(delay)}"
            yield Fault(("jitter",), "jitter-exceeds-delay", message, "a packet cannot arrive before it left")
        if parts["reorder"] and not parts["reorder"].late_ns and not delay:
            hint = "a packet overtakes those in flight: give a delay, or say how much later it comes (late: 10ms)"
            yield Fault(("reorder",), "reorder-without-delay", "has no delay beside it", hint)
        if not (parts["rate_bps"] or parts["trace"]):
            if self.overhead_bytes:
                hint = "overhead is what the bottleneck counts: give a rate"
                yield Fault(("overhead",), "overhead-without-rate", "has no rate beside it", hint)
            if self.queue is not None:
                hint = "a queue is what waits for the bottleneck: give a rate"
                yield Fault(("queue",), "queue-without-rate", "has no rate beside it", hint)
        elif not frame <= parts["queue_bytes"] <= units.LARGEST:
            message = (
                f"comes to {units.SIZE.format(parts['queue_bytes'])}, must hold at least one full frame, {frame} B"
            )
            yield Fault(("queue",), "queue-too-small", message)

    def _whole(self, now: Impairments, frame: int, delay_back_ns: int) -> dict[str, Any]:
        """The fields of the impairments asked for, possible or not."""
        parts = {one.name: getattr(now, one.name) for one in fields(now)}
        if self.delay_ns is not None:
            parts["delay_ns"] = self.delay_ns
        for value in (self.jitter, self.corrupt, self.duplicate, self.reorder):
            parts |= value.parts if value is not None else {}
        if self.drop is not None:
            parts["drops"] = drops(self.drop)
        loss, hidden = self._losses(now)
        bottleneck, dormant = self._bottleneck(now, frame, parts["delay_ns"] + delay_back_ns)
        return {**parts, **loss, **bottleneck, "latent": Latent(**hidden, **dormant)}

    def _losses(self, now: Impairments) -> tuple[Parts, Parts]:
        """The loss asked for, and what of it is latent."""
        before = now.latent if now.latent.blackhole else now
        loss = self.loss.parts if self.loss else {"loss": before.loss, "loss_model": before.loss_model}
        if self.blackhole or (self.blackhole is None and self.loss is None and now.latent.blackhole):
            return {"loss": CERTAIN, "loss_model": None}, {"blackhole": True, **loss}
        return loss, {}

    def _bottleneck(self, now: Impairments, frame: int, round_trip_ns: int) -> tuple[Parts, Parts]:
        """The bottleneck asked for, and what of it is latent."""
        rate: dict[str, Any] = {"rate_bps": now.rate_bps, "trace": now.trace}
        if self.rate is not None:
            rate = self.rate.parts if isinstance(self.rate, Traced) else {"rate_bps": self.rate, "trace": None}
        before = now if now.has_bottleneck else now.latent
        queue = {name: getattr(before, name) for name in ("overhead_bytes", "queue_bytes", "discipline")}
        if self.overhead_bytes is not None:
            queue["overhead_bytes"] = self.overhead_bytes
        queue |= self.queue.parts if self.queue else {}
        limit = self.queue.limit if self.queue else None
        queue_ns = (limit.time_ns or 0) if limit else now.latent.queue_ns
        if not (rate["rate_bps"] or rate["trace"]):
            return rate | {name: getattr(CLEAR, name) for name in queue}, queue | {"queue_ns": queue_ns}
        if queue_ns:
            limit = Limit(time_ns=queue_ns)
        if limit or not queue["queue_bytes"]:
            queue["queue_bytes"] = (limit or Limit(bdp=1)).bytes(
                frame=frame,
                rate_bps=rate["trace"].mean_bps if rate["trace"] else rate["rate_bps"],
                round_trip_ns=round_trip_ns,
            )
        return rate | queue, {"queue_ns": queue_ns}
