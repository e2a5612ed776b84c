"""What a link is asked to do to packets."""

from testbed.shape import Shape
from testbed.topology.base import Model, key
from testbed.topology.values import Duration, Loss, Queue, QueueSize, Rate

ETHERNET_HEADER = 14
"""Bytes that a frame has beyond its IP packet, in `Shape`'s count."""

LEAST_FRAMES = 10
"""Full frames that a queue given in bandwidth-delay products holds at least: what a TCP sends at once (RFC 6928)."""


class Impairment(Model):
    """The part of a link that says what happens to packets. What is None is not asked for."""

    delay_ns: Duration | None = key("Propagation delay of one direction", alias="delay", default=None)
    jitter_ns: Duration | None = key(
        "How far a packet's delay may be off, either way, uniformly; packets keep their order",
        alias="jitter",
        default=None,
    )
    loss: Loss | None = key("Share of packets that are lost, independently of each other", default=None)
    rate_bps: Rate | None = key(
        "Rate of the bottleneck, in bits of Ethernet frames; 0 is unlimited", alias="rate", default=None
    )
    queue: QueueSize | None = key(
        "What waits before the bottleneck: bytes (64KB), full frames (100 packets), time at the rate (100ms) or "
        "bandwidth-delay products of the round trip (1bdp, the default; at least 10 full frames)",
        default=None,
    )

    def shape(self, *, mtu: int, delay_back_ns: int) -> Shape:
        """The shape asked for.

        Args:
            mtu: bytes of an IP packet on the network.
            delay_back_ns: delay of the opposite direction, for a queue in bandwidth-delay products.

        Raises:
            ValueError: the parts contradict each other.
        """
        return Shape(
            delay_ns=self.delay_ns or 0,
            jitter_ns=self.jitter_ns or 0,
            loss=self.loss or 0,
            rate_bps=self.rate_bps or 0,
            queue_bytes=self.queue_bytes(mtu=mtu, delay_back_ns=delay_back_ns),
        )

    def queue_bytes(self, *, mtu: int, delay_back_ns: int) -> int:
        """Bytes of frames that the queue holds, at least one; 0 where none is asked for."""
        frame = mtu + ETHERNET_HEADER
        rate = self.rate_bps or 0
        queue = self.queue or (Queue(bdp=1) if rate else Queue(size_bytes=0))
        if queue.size_bytes is not None:
            return queue.size_bytes
        if queue.packets is not None:
            return queue.packets * frame
        if queue.time_ns is not None:
            return rate * queue.time_ns // (8 * 10**9)
        round_trip = (self.delay_ns or 0) + delay_back_ns
        return max(int((queue.bdp or 0) * rate * round_trip // (8 * 10**9)), LEAST_FRAMES * frame)
