"""The keys of a link's bottleneck: its rate and its queue."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Discriminator, Tag

from testbed import units
from testbed.impairments import (
    CERTAIN,
    Cake,
    CoDel,
    Discipline,
    DropHead,
    DropTail,
    DualPi2,
    FqCoDel,
    Opportunities,
    Pie,
    Policer,
    RateSteps,
    Red,
    TokenBucket,
)
from testbed.topology import traces
from testbed.topology.base import Fault, Model, Short, key
from testbed.topology.queue_sizes import QueueSize, QueueSizeValue
from testbed.topology.referenced_files import Beside
from testbed.topology.values import (
    Flag,
    Probability,
    Rate,
    Reader,
    SomeDuration,
    SomeRate,
    SomeSize,
    fault,
    schema_of,
    text_of,
)

_SETTINGS = {
    "codel": ("target", "interval", "ecn"),
    "fq_codel": ("target", "interval", "ecn"),
    "pie": ("target", "update", "ecn"),
    "dualpi2": ("target", "update", "step"),
    "red": ("min", "max", "probability", "gentle", "ecn"),
}
"""The settings that each discipline has; the others have none."""

_CODEL = CoDel()

_RED_MIN_FRAMES = 5
_RED_MAX_RATIO = 3
"""RED's thresholds unless given: 5 full frames, and three times the lower one (Floyd, "RED: Discussions of Setting
Parameters", 1997)."""


class PolicerKeys(Model):
    """A rate beyond which packets are dropped, without a queue."""

    rate_bps: SomeRate = key("Rate in bits of Ethernet frames that may pass", alias="rate")
    burst_bytes: SomeSize = key("Bytes of frames that may pass at once, after a pause", alias="burst")

    @property
    def policer(self) -> Policer:
        """The policer of a link."""
        return Policer(rate_bps=self.rate_bps, burst_bytes=self.burst_bytes)


class BurstyRate(Model):
    """A rate that is exceeded for a burst after a pause: a token bucket shaper."""

    rate_bps: SomeRate = key("Rate in bits of Ethernet frames, on the whole", alias="rate")
    burst_bytes: SomeSize = key(
        "Bytes of frames that pass faster after a pause, at least one full frame", alias="burst"
    )
    peak_bps: SomeRate | None = key(
        "Rate at which the burst passes, more than the rate; at once unless given", alias="peak", default=None
    )

    @property
    def bucket(self) -> TokenBucket:
        """The transmitter of a bottleneck."""
        return TokenBucket(bps=self.rate_bps, burst_bytes=self.burst_bytes, peak_bps=self.peak_bps or 0)

    def faults(self) -> Iterator[Fault]:
        """Yield a fault if the peak is no more than the rate."""
        if self.peak_bps and self.peak_bps <= self.rate_bps:
            message = f"is {units.RATE.format(self.peak_bps)}, must be more than {units.RATE.format(self.rate_bps)}"
            hint = "the peak is what a burst may reach; without a burst, write rate: 10mbit"
            yield Fault(("peak",), "peak-too-low", message, hint)


class Traced(Model):
    """A rate that follows a trace."""

    trace: Annotated[Opportunities | RateSteps, Beside(traces.trace, ("traces/mobile.trace", "traces/drive.csv"))] = (
        key("A file beside the topology: TIME,RATE lines in a .csv, else Mahimahi's format")
    )


class QueueKeys(Model):
    """The queue before the bottleneck."""

    limit: QueueSizeValue | None = key(
        "Bytes (64KB), full frames (100 packets), time at the rate (100ms) or bandwidth-delay products of the round "
        "trip (1bdp, the default; at least 10 full frames)",
        default=None,
    )
    discipline: Literal["droptail", "drophead", "codel", "fq_codel", "pie", "dualpi2", "red", "cake"] = key(
        "Which packets it drops: when full, the arriving one (droptail) or the oldest (drophead); those that wait too "
        "long, by CoDel, in one queue or one per flow; so many that waits stay at a target (pie), with a queue of its "
        "own for L4S (dualpi2); the more the longer it is on average (red); or by CAKE",
        default="droptail",
    )
    target_ns: SomeDuration | None = key(
        "Of CoDel the longest wait that it tolerates (5ms unless given), of PIE and DualPI2 the wait that it aims at "
        "(15ms)",
        alias="target",
        default=None,
    )
    interval_ns: SomeDuration | None = key(
        "CoDel's interval: how long it tolerates longer waits; 100ms unless given", alias="interval", default=None
    )
    update_ns: SomeDuration | None = key(
        "How often PIE and DualPI2 compute their probability; 15ms unless given", alias="update", default=None
    )
    step_ns: SomeDuration | None = key(
        "DualPI2 marks an L4S packet that waited longer; 1ms unless given", alias="step", default=None
    )
    minimum: QueueSizeValue | None = key(
        "RED's lower threshold of the average length, from which on it drops; 5 packets unless given",
        alias="min",
        default=None,
    )
    maximum: QueueSizeValue | None = key(
        "RED's upper threshold; three times the lower one unless given", alias="max", default=None
    )
    probability: Probability | None = key("With which RED drops at its upper threshold; 10% unless given", default=None)
    gentle: Flag | None = key(
        "Whether RED drops all packets only from twice its upper threshold on, or from that itself; true unless given",
        default=None,
        example=False,
    )
    ecn: Flag | None = key(
        "Whether packets that can be marked are marked instead of dropped, by CoDel, PIE or RED",
        default=None,
        example=True,
    )

    def chosen(self, *, frame: int, rate_bps: int) -> Discipline:
        """Return the discipline with its settings.

        Args:
            frame: bytes of a full frame.
            rate_bps: of the bottleneck, on average.
        """
        times = {"target_ns": self.target_ns, "interval_ns": self.interval_ns, "update_ns": self.update_ns}
        given = {name: time_ns for name, time_ns in {**times, "step_ns": self.step_ns}.items() if time_ns}
        ecn = bool(self.ecn)
        chosen: Discipline = DropTail()
        match self.discipline:
            case "drophead":
                chosen = DropHead()
            case "codel":
                chosen = CoDel(ecn=ecn, **given)
            case "fq_codel":
                chosen = FqCoDel(ecn=ecn, **given)
            case "pie":
                chosen = Pie(ecn=ecn, **given)
            case "dualpi2":
                chosen = DualPi2(**given)
            case "red":
                least, most = self._thresholds(frame, rate_bps)
                chosen = Red(
                    min_bytes=least,
                    max_bytes=most,
                    probability=self.probability or CERTAIN // 10,
                    gentle=self.gentle is not False,
                    ecn=ecn,
                )
            case "cake":
                chosen = Cake()
        return chosen

    def _thresholds(self, frame: int, rate_bps: int) -> tuple[int, int]:
        """Return RED's thresholds in bytes."""

        def in_bytes(size: QueueSize) -> int:
            return size.bytes(frame=frame, rate_bps=rate_bps, round_trip_ns=0)

        least = in_bytes(self.minimum) if self.minimum else _RED_MIN_FRAMES * frame
        return least, in_bytes(self.maximum) if self.maximum else _RED_MAX_RATIO * least

    def threshold_faults(self, *, frame: int, rate_bps: int, queue_bytes: int) -> Iterator[Fault]:
        """Yield a fault if RED's thresholds do not ascend from 0 to the size of the queue."""
        if self.discipline != "red":
            return
        least, most = self._thresholds(frame, rate_bps)
        written = f"{units.SIZE.format(least)} (min) and {units.SIZE.format(most)} (max)"
        if not 0 < least < most:
            yield Fault(("max",), "red-thresholds", f"of RED: {written} do not ascend from 0", "max is above min")
        elif most > queue_bytes:
            message = f"of RED: {written} lie beyond the queue, which holds {units.SIZE.format(queue_bytes)}"
            yield Fault(("max",), "red-thresholds", message, "lower min and max, or a longer queue (limit)")

    def faults(self) -> Iterator[Fault]:
        """Yield the contradictions: settings that the discipline does not have; CoDel's target and interval."""
        for name, value in (
            ("target", self.target_ns),
            ("interval", self.interval_ns),
            ("update", self.update_ns),
            ("step", self.step_ns),
            ("min", self.minimum),
            ("max", self.maximum),
            ("probability", self.probability),
            ("gentle", self.gentle),
            ("ecn", self.ecn),
        ):
            if value is not None and name not in _SETTINGS.get(self.discipline, ()):
                having = ", ".join(discipline for discipline, settings in _SETTINGS.items() if name in settings)
                message = f"is a setting that {self.discipline} does not have"
                hint = f"disciplines with it are: {having}"
                if (name, self.discipline) == ("ecn", "dualpi2"):
                    hint = "it always marks what can be marked: leave ecn out"
                yield Fault((name,), "conflicting-keys", message, hint)
        for name in ("minimum", "maximum"):
            if (limit := getattr(self, name)) and limit.bdp is not None:
                message = "is in bandwidth-delay products, must be bytes, packets or a time"
                yield Fault((name.removesuffix("imum"),), "bad-value", message, "write it like 64KB, 10 packets, 50ms")
        if self.probability == 0:
            yield Fault(("probability",), "bad-value", "is 0, with which RED never drops", "write it like 10%")
        target_ns, interval_ns = self.target_ns or _CODEL.target_ns, self.interval_ns or _CODEL.interval_ns
        if self.discipline in ("codel", "fq_codel") and target_ns >= interval_ns:
            message = (
                f"is {units.DURATION.format(target_ns)}, must be less than the interval, "
                f"{units.DURATION.format(interval_ns)}"
            )
            yield Fault(("target",), "target-exceeds-interval", message, "RFC 8289 takes 5 to 10 % of the interval")


def _no_policer(value: object) -> int:
    if units.RATE.parse(text_of(value, "a mapping, or 0 for none")):
        raise fault(f"is {value}, must be a mapping, or 0 for none", "write it like {rate: 10mbit, burst: 64KB}")
    return 0


def _form_of_rate(value: object) -> str:
    if isinstance(value, BurstyRate) or (isinstance(value, dict) and value.keys() & {"rate", "burst", "peak"}):
        return "<bursty>"
    return "<trace>" if isinstance(value, dict | Traced) else "<rate>"


PolicerValue = Annotated[
    Annotated[int, Reader(_no_policer, {"const": 0}), Tag("<none>")] | Annotated[PolicerKeys, Tag("<policer>")],
    Discriminator(lambda value: "<policer>" if isinstance(value, dict | PolicerKeys) else "<none>"),
]
RateValue = Annotated[
    Annotated[Rate, Tag("<rate>")] | Annotated[Traced, Tag("<trace>")] | Annotated[BurstyRate, Tag("<bursty>")],
    Discriminator(_form_of_rate),
]
QueueValue = Annotated[QueueKeys, Short("limit", schema_of(QueueSizeValue))]
