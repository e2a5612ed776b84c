"""What is found of a token bucket shaper, by trains over one whose behaviour is computed."""

import random

import pytest

from testbed.check import AS_REQUESTED, schedules
from testbed.check.comparing import TOO_HIGH, TOO_LOW
from testbed.check.rates import Train
from testbed.check.shaping import conclude, judge_shaper
from testbed.impairments import Bottleneck, Impairments, TokenBucket

MS, SECOND = 10**6, 10**9
LEVEL = 0.0001
MTU = 1500
TRAIN_NS = 100 * MS


def of(bucket):
    return Impairments(delay_ns=10 * MS, bottleneck=Bottleneck(rate=bucket, queue_bytes=200_000))


def crossed(asked, bucket, *, slower=1, pauses=0, seed=1):
    """A train for a bucket over another one, seen by a machine that is a little late, `slower` than wanted, or pauses.

    A pause before the last third of the train lasts so long that the bucket fills up again.
    """
    schedule, draw = schedules.bursting(of(asked), MTU, TRAIN_NS), random.Random(seed)
    sent_ns = [round(number * schedule.interval_ns * slower) for number in range(schedule.count)]
    for number in range(2 * schedule.count // 3, schedule.count) if pauses else ():
        sent_ns[number] += round(8 * bucket.burst_bytes * SECOND / bucket.bps) + 200 * MS
    sequence, received_ns = [], []
    bits, tokens, at, last = 8 * schedule.frame_bytes, 8.0 * bucket.burst_bytes, 0.0, 0
    for number, came in enumerate(sent_ns):
        if (at - came) * bucket.bps > 8 * 200_000 * SECOND:
            continue
        start = max(at, came)
        tokens = min(tokens + (start - at) * bucket.bps / SECOND, 8.0 * bucket.burst_bytes)
        at_peak = bits * SECOND / bucket.peak_bps if bucket.peak_bps else 0
        end = start + max(at_peak, (bits - tokens) * SECOND / bucket.bps, 0)
        tokens += (end - start) * bucket.bps / SECOND - bits
        at = end
        last = max(last, round(end + 10 * MS + draw.expovariate(1 / 100_000)))
        sequence.append(number)
        received_ns.append(last)
    return Train(frame_bytes=schedule.frame_bytes, sent_ns=sent_ns, sequence=sequence, received_ns=received_ns)


def verdicts(asked, bucket, **how):
    trains = [judge_shaper(of(asked), crossed(asked, bucket, seed=seed, **how), level=LEVEL) for seed in range(3)]
    return {finding.name: finding for finding in conclude(trains)}


@pytest.mark.parametrize(
    "bucket",
    [
        TokenBucket(bps=10**7, burst_bytes=10**6, peak_bps=10**8),
        TokenBucket(bps=4 * 10**6, burst_bytes=64_000),
        TokenBucket(bps=10**8, burst_bytes=10**6, peak_bps=2 * 10**8),
        TokenBucket(bps=64_000, burst_bytes=2_000),
    ],
    ids=str,
)
def test_a_bucket_that_is_as_requested_is_found_so(bucket):
    found = verdicts(bucket, bucket)
    assert {finding.verdict for finding in found.values()} == {AS_REQUESTED}
    assert found.keys() == {"rate", "bucket"} | ({"peak"} if bucket.peak_bps else set())
    assert found["rate"].measured == pytest.approx(bucket.bps, rel=0.02)


ASKED = TokenBucket(bps=10**7, burst_bytes=500_000, peak_bps=5 * 10**7)


@pytest.mark.parametrize(
    ("change", "name", "verdict"),
    [
        ({"burst_bytes": 520_000}, "bucket", TOO_HIGH),
        ({"burst_bytes": 480_000}, "bucket", TOO_LOW),
        ({"bps": 11 * 10**6}, "bucket", TOO_HIGH),  # more passes than burst and rate allow
        ({"bps": 9 * 10**6}, "rate", TOO_LOW),
        ({"peak_bps": 6 * 10**7}, "peak", TOO_HIGH),
        ({"peak_bps": 4 * 10**7}, "peak", TOO_LOW),
    ],
)
def test_what_differs_is_named(change, name, verdict):
    fields = {"bps": ASKED.bps, "burst_bytes": ASKED.burst_bytes, "peak_bps": ASKED.peak_bps}
    assert verdicts(ASKED, TokenBucket(**(fields | change)))[name].verdict == verdict


def test_a_machine_that_is_too_slow_proves_nothing():
    found = verdicts(ASKED, ASKED, slower=4)
    assert all(finding.passed for finding in found.values())
    assert found["bucket"].measured is None
    assert "prober reaches" in found["bucket"].verdict


def test_a_machine_that_pauses_while_the_bucket_fills_does_not_make_the_rate_too_high():
    found = verdicts(ASKED, ASKED, pauses=1)
    assert all(finding.passed for finding in found.values()), found


def test_a_bucket_that_takes_too_many_datagrams_is_not_measured():
    huge = TokenBucket(bps=10**9, burst_bytes=10**9)
    assert "datagrams" in str(schedules.unburstable(of(huge), MTU, TRAIN_NS))
    assert schedules.unburstable(of(replace_burst(huge)), MTU, TRAIN_NS) is None


def replace_burst(bucket):
    return TokenBucket(bps=10**7, burst_bytes=bucket.burst_bytes // 1000)
