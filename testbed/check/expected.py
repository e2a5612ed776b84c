"""Compute the effects of impairments on probes that do not disturb each other."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import islice
from math import ceil, log
from typing import TYPE_CHECKING

from testbed.check import random_processes
from testbed.impairments import CERTAIN, FixedRate, Opportunities, RateSteps, distributions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from testbed.check.random_processes import RandomProcess
    from testbed.check.selection import ProbePackets
    from testbed.impairments import Drop, Impairments, Jitter, Reorder
    from testbed.impairments.effects import NamedDistribution

FRAME_BYTES = 74
"""The size of a probe on the link: 12 bytes of payload and the headers of UDP, IPv6 and Ethernet.

Over IPv4 its payload is 20 bytes longer, so that a link treats probes of both families alike.
"""

_UNIFORM_STEPS = 4096
_MIXED_DRAWS = 1 << 16
_INDEPENDENT = 0.05
"""The correlation up to which values count as independent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """The effects of impairments on probes.

    Attributes:
        loss: the probe does not arrive as it was sent: it is lost or corrupted.
        duplicates: the probe arrives twice.
        displaced: the probe leaves its place in the order.
        corrupted: the probe arrives with another payload.
        delays_ns: evenly spaced quantiles of the delay of a probe in its place, ascending.
    """

    loss: RandomProcess
    duplicates: RandomProcess
    displaced: RandomProcess
    corrupted: RandomProcess
    delays_ns: Sequence[float]


def of(impairments: Impairments) -> Expected:
    """Return the effects of `impairments` on probes, without scripted drops."""
    corrupted = random_processes.of(impairments.corruption.event if impairments.corruption else None)
    return Expected(
        loss=random_processes.of(impairments.loss).or_else(corrupted.rate),
        duplicates=random_processes.of(impairments.duplicate),
        displaced=_displaced(impairments.reorder) if impairments.reorder else random_processes.NEVER,
        corrupted=corrupted
        if impairments.corruption and impairments.corruption.fix_checksum
        else random_processes.NEVER,
        delays_ns=in_place_ns(impairments),
    )


def in_place_ns(impairments: Impairments) -> Sequence[float]:
    """Return evenly spaced quantiles of a packet's delay, without its wait at the bottleneck.

    Of a delay that follows a trace it returns the least and the greatest: how often each occurs depends on the time.
    """
    jitter = impairments.jitter
    deviations: Sequence[float] = (0.0,)
    if jitter:
        deviations = _mixed(jitter) if jitter.correlation else _deviations(jitter.distribution)
    if impairments.delay_trace:
        least_ns, most_ns = (deviations[end] * impairments.jitter_ns for end in (0, -1))
        return max(impairments.shortest_delay_ns + least_ns, 0.0), impairments.longest_delay_ns + most_ns
    if jitter is None:
        return (float(impairments.delay_ns),)
    return [max(impairments.delay_ns + deviation * jitter.ns, 0.0) for deviation in deviations]


def thinning(impairments: Impairments) -> int:
    """Return n so that the delays of every n-th probe are practically independent."""
    correlation = impairments.jitter.correlation / CERTAIN if impairments.jitter else 0
    return 1 if correlation <= _INDEPENDENT else ceil(log(_INDEPENDENT) / log(min(correlation, 0.99)))


def spacing_ns(impairments: Impairments) -> int:
    """Return the time between two packets that keeps nearly all of them from catching up with the one before.

    All deviations but the uniform ones are within four standard deviations, and so are nearly all differences of two.
    """
    jitter = impairments.jitter
    if jitter is None or not jitter.keeps_order:
        return 0
    return jitter.ns * (2 if jitter.distribution == "uniform" else 4)


def longest_ns(impairments: Impairments) -> int:
    """Return the longest delay of a packet, without its wait at the bottleneck."""
    late_ns = impairments.reorder.late_ns if impairments.reorder else 0
    jitter = impairments.jitter
    most_ns = jitter.ns * _deviations(jitter.distribution)[-1] if jitter else 0
    return ceil(impairments.longest_delay_ns + most_ns) + late_ns


def bottleneck_wait_ns(impairments: Impairments) -> float:
    """Return the longest time that the bottleneck holds a lone probe.

    With netem a lone frame leaves when its transmission starts, with the userspace engine when it ends; both are right.
    """
    if impairments.bottleneck is None:
        return 0
    bits = 8 * (FRAME_BYTES + impairments.bottleneck.overhead_bytes) * 10**9
    match impairments.bottleneck.rate:
        case FixedRate(bps=bps):
            return bits / bps
        case Opportunities() as trace:
            return trace.longest_pause_ns
        case RateSteps() as trace:
            ends_ns = (*trace.starts_ns[1:], trace.period_ns)
            pauses = [
                end - start
                for start, end, rate in zip(trace.starts_ns, ends_ns, trace.rates_bps, strict=True)
                if not rate
            ]
            return sum(pauses) + bits / min(rate for rate in trace.rates_bps if rate)


def scripted(drops: Sequence[Drop], count: int, packets: ProbePackets) -> int:
    """Return how many of a train of packets scripted drops may hit, whatever else crossed the link."""
    ports = (0, packets.source_port, packets.destination_port)
    return sum(
        min(len(drop.numbers) + (count // drop.every + 1 if drop.every else 0), count)
        for drop in drops
        if drop.protocol in ("any", packets.protocol_name) and drop.port in ports and not drop.flags
    )


@cache
def _deviations(distribution: NamedDistribution | tuple[int, ...]) -> tuple[float, ...]:
    """Return evenly spaced quantiles of a packet's deviation from the delay, in units of the jitter."""
    if distribution == "uniform":
        return tuple((2 * step + 1) / _UNIFORM_STEPS - 1 for step in range(_UNIFORM_STEPS))
    return tuple(quantile / distributions.SCALE for quantile in distributions.quantiles(distribution))


@cache
def _mixed(jitter: Jitter) -> tuple[float, ...]:
    """Return the same for correlated jitter, whose draws are rarely near either end."""
    deviations = _deviations(jitter.distribution)
    draws = islice(random_processes.mixed(jitter.correlation), _MIXED_DRAWS)
    return tuple(sorted(deviations[int(draw * len(deviations))] for draw in draws))


def _displaced(reorder: Reorder) -> RandomProcess:
    """Return the process of displaced packets: after one of them, the `gap`-th packet is the next that may be."""
    process = random_processes.of(reorder.event)
    between = max(reorder.gap - 1, 0)
    return random_processes.independent(process.rate / (1 + between * process.rate)) if between else process
