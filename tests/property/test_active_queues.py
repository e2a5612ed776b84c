"""Policers, queues that drop early, and traces of delay and loss: what holds whatever arrives."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from testbed.engines.userspace.core import LinkEmulator
from testbed.impairments import (
    CERTAIN,
    Bottleneck,
    DelaySteps,
    DualPi2,
    FixedRate,
    Impairments,
    LossSteps,
    Pie,
    Policer,
    RateSteps,
    Red,
)
from tests.counting import counted

MS = 10**6
ECT1 = 1

times = st.integers(1, 3 * MS)
disciplines = (
    st.builds(Pie, target_ns=times, update_ns=times, ecn=st.booleans())
    | st.builds(DualPi2, target_ns=times, update_ns=times, step_ns=times)
    | st.builds(
        lambda least, more, share, gentle, ecn: Red(
            min_bytes=least, max_bytes=least + more, probability=share, gentle=gentle, ecn=ecn
        ),
        *(st.integers(1, 3000), st.integers(1, 3000), st.integers(1, CERTAIN), st.booleans(), st.booleans()),
    )
)
rates = st.builds(FixedRate, bps=st.integers(10**6, 10**8)) | st.just(
    RateSteps(starts_ns=(0, MS), rates_bps=(0, 10**7), period_ns=2 * MS)
)
queues = st.builds(
    lambda rate, size, discipline: Impairments(
        bottleneck=Bottleneck(rate=rate, queue_bytes=size, discipline=discipline)
    ),
    *(rates, st.integers(1500, 20_000), disciplines),
)
arrivals = st.lists(
    st.tuples(st.integers(0, MS // 2), st.integers(60, 1500), st.integers(0, 3), st.booleans()), max_size=80
)
seeds = st.integers(0, 2**64 - 1)


def packet(number, size, ecn):
    """An IPv4 packet with an ECN field, and its number."""
    frame = bytearray(size)
    frame[12:18] = b"\x08\x00\x45" + bytes([ecn]) + (size - 14).to_bytes(2, "big")
    frame[40:44] = number.to_bytes(4, "big")
    return bytes(frame)


def carried(link, arrivals):
    """What leaves when the process wakes as `arrivals` say: when, number, ECN field."""
    now, out = 0, []
    for number, (wait, size, ecn, wakes) in enumerate(arrivals):
        if wakes:
            out += released(link, now + wait // 2)
        now += wait
        link.accept([packet(number, size, ecn)], now)
    return out + released(link, 1 << 62)


def released(link, until):
    out = []
    while (wakeup := link.next_wakeup()) is not None and wakeup <= until:
        out += [(wakeup, int.from_bytes(sent[40:44], "big"), sent[15] & 3) for sent in link.release(wakeup, 1)]
    return out


@given(queues, arrivals, seeds)
def test_an_early_dropper_loses_only_what_it_counts_and_keeps_order(impairments, arrivals, seed):
    link = LinkEmulator(impairments, seed, 0)
    out = carried(link, arrivals)
    stats = counted(link.stats())
    assert stats.packets_in - stats.queue_drops - stats.early_drops == stats.packets_out == len(out)
    assert stats.in_flight == 0
    assert link._held_bytes == link._counts.dropped_bytes
    is_l4s = {number: bool(ecn & 1) for number, (_, _, ecn, _) in enumerate(arrivals)}
    for is_apart in (False, True) if isinstance(impairments.bottleneck.discipline, DualPi2) else (None,):
        numbers = [number for _, number, _ in out if is_apart in (None, is_l4s[number])]
        assert numbers == sorted(numbers)
    changed = [(number, ecn) for _, number, ecn in out if ecn != arrivals[number][2]]
    assert all(ecn == 3 and arrivals[number][2] for number, ecn in changed)  # only marks, and only if capable
    assert len(changed) <= stats.marked


@given(queues, arrivals, seeds)
def test_the_outcome_does_not_depend_on_when_the_process_wakes(impairments, arrivals, seed):
    asleep = [(wait, size, ecn, False) for wait, size, ecn, _ in arrivals]
    assert carried(LinkEmulator(impairments, seed, 0), arrivals) == carried(LinkEmulator(impairments, seed, 0), asleep)


@given(st.integers(1, 10**9), st.integers(1, 10**5), arrivals)
def test_a_policer_passes_what_an_exact_token_bucket_passes(rate, burst, arrivals):
    link = LinkEmulator(Impairments(policer=Policer(rate_bps=rate, burst_bytes=burst)), 1, 0)
    passed = [number for _, number, _ in carried(link, arrivals)]
    tokens, now, expected = Fraction(burst), 0, []
    for number, (wait, size, _, _) in enumerate(arrivals):
        now += wait
        tokens = min(tokens + Fraction(wait * rate, 8 * 10**9), Fraction(burst))
        if size <= tokens:
            tokens -= size
            expected.append(number)
    assert sorted(passed) == expected
    assert link.stats().policed == len(arrivals) - len(expected)


@st.composite
def steps(draw, values):
    starts = (0, *sorted(draw(st.sets(st.integers(1, 5 * MS), max_size=4))))
    found = draw(st.lists(values, min_size=len(starts), max_size=len(starts)))
    return starts, tuple(found), starts[-1] + draw(st.integers(1, MS))


def value_at(starts, values, period, time):
    into = max(time, 0) % period
    return [value for start, value in zip(starts, values, strict=True) if start <= into][-1]


@given(steps(st.integers(0, 3 * MS)), st.integers(-MS, 5 * MS), arrivals)
def test_a_delay_by_trace_is_that_of_the_arrival_and_keeps_order(trace, origin, arrivals):
    starts, delays, period = trace
    made = DelaySteps(starts_ns=starts, delays_ns=delays, period_ns=period)
    link = LinkEmulator(Impairments(delay_ns=made.mean_ns, delay_trace=made), 1, 0, origin)
    now, last, expected = 0, 0, []
    for number, (wait, _, ecn, _) in enumerate(arrivals):
        now += wait
        last = max(last, now + value_at(starts, delays, period, now - origin))
        expected.append((last, number, ecn))
    assert carried(link, [(wait, size, ecn, False) for wait, size, ecn, _ in arrivals]) == expected


@given(steps(st.sampled_from([0, CERTAIN])), st.integers(-MS, 5 * MS), arrivals)
def test_a_loss_by_trace_is_that_of_the_arrival(trace, origin, arrivals):
    starts, losses, period = trace
    if not any(losses):
        return
    made = LossSteps(starts_ns=starts, probabilities=losses, period_ns=period)
    link = LinkEmulator(Impairments(loss=made), 1, 0, origin)
    now, expected = 0, []
    for number, (wait, _, _, _) in enumerate(arrivals):
        now += wait
        if not value_at(starts, losses, period, now - origin):
            expected.append(number)
    assert [number for _, number, _ in carried(link, arrivals)] == expected
