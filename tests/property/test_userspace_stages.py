"""All stages of a link against a slow, obvious model of the same link, which sees all frames before it begins."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from testbed.engines.userspace.core import LinkEmulator
from testbed.impairments import (
    CERTAIN,
    Blackhole,
    Bottleneck,
    CoDel,
    CorrelatedLoss,
    Drop,
    DropHead,
    DropTail,
    FixedRate,
    FourState,
    FqCoDel,
    GilbertElliott,
    Impairments,
    IndependentLoss,
    Jitter,
    Opportunities,
    RandomEvent,
    RateSteps,
    Reorder,
    Times,
)
from tests.counting import counted
from tests.property.obvious_link import ObviousLink

MS = 10**6
probabilities = st.sampled_from([0, CERTAIN // 3, CERTAIN]) | st.integers(0, CERTAIN)
possible = st.sampled_from([1, CERTAIN // 3, CERTAIN]) | st.integers(1, CERTAIN)
events = st.builds(RandomEvent, probability=possible, correlation=st.just(0) | probabilities)


@st.composite
def opportunities(draw):
    times = sorted(draw(st.lists(st.integers(0, 3 * MS), min_size=1, max_size=6)))
    period = max(times[-1], 10**5) + draw(st.integers(0, MS))
    return Opportunities(times_ns=Times(tuple(times)), frame_bytes=draw(st.integers(300, 1514)), period_ns=period)


@st.composite
def rate_steps(draw):
    starts = (0, *sorted(draw(st.sets(st.integers(1, 3 * MS), max_size=3))))
    rates = draw(st.lists(st.just(0) | st.integers(10**6, 10**9), min_size=len(starts), max_size=len(starts)))
    rates[draw(st.integers(0, len(rates) - 1))] = 10**7
    return RateSteps(starts_ns=starts, rates_bps=tuple(rates), period_ns=starts[-1] + draw(st.integers(1, MS)))


@st.composite
def loss(draw):
    four = st.builds(
        lambda p13, p14, p31, p32, p23: FourState(p13=p13 // 2, p14=p14 // 2, p31=p31 // 2, p32=p32 // 2, p23=p23),
        *[probabilities] * 5,
    )
    bursts = st.builds(
        GilbertElliott, to_bad=probabilities, to_good=probabilities, loss_good=probabilities, loss_bad=probabilities
    )
    simple = st.builds(IndependentLoss, probability=possible)
    correlated = st.builds(CorrelatedLoss, probability=possible, correlation=possible)
    return draw(st.none() | st.just(Blackhole()) | simple | correlated | bursts | four)


@st.composite
def delays(draw):
    delay = draw(st.integers(0, 3 * MS))
    jitter_ns = draw(st.just(0) | st.integers(0, delay))
    jitters = st.builds(
        Jitter,
        ns=st.just(jitter_ns),
        distribution=st.sampled_from(["uniform", "normal", (-8192, 8192, 20000)]),
        correlation=st.just(0) | probabilities,
        keeps_order=st.booleans(),
    )
    reorder = st.builds(Reorder, event=events, gap=st.integers(0, 4), late_ns=st.just(0) | st.integers(1, MS))
    return {
        "delay_ns": delay,
        "jitter": draw(jitters) if jitter_ns else None,
        "reorder": draw(st.none() | reorder),
    }


managed = st.builds(CoDel, target_ns=st.integers(1, MS), interval_ns=st.integers(1, 3 * MS))
bottlenecks = st.builds(
    Bottleneck,
    rate=st.builds(FixedRate, bps=st.integers(10**5, 10**9)) | opportunities() | rate_steps(),
    queue_bytes=st.integers(1, 10000),
    overhead_bytes=st.integers(0, 40),
    discipline=st.sampled_from([DropTail(), DropHead()]) | managed,
)


@st.composite
def all_impairments(draw):
    numbers = st.sets(st.integers(1, 9), min_size=1, max_size=2).map(lambda numbers: tuple(sorted(numbers)))
    drop = st.builds(Drop, numbers=numbers, every=st.integers(0, 5))
    return Impairments(
        drops=tuple(draw(st.lists(drop, max_size=2))),
        duplicate=draw(st.none() | events),
        loss=draw(loss()),
        **draw(delays()),
        bottleneck=draw(st.none() | bottlenecks),
    )


arrivals = st.lists(st.tuples(st.integers(0, MS // 2), st.integers(60, 1514), st.booleans()), max_size=40)


def carried(link, arrivals):
    """What leaves when the process wakes as `arrivals` say, at any time between one frame and the next."""
    now, out = 0, []
    for number, (wait, size, wakes) in enumerate(arrivals):
        if wakes:
            out += released(link, now + wait // 2)
        now += wait
        link.accept([number.to_bytes(4, "big") + bytes(size - 4)], now)
    return out + released(link, 1 << 62)


def released(link, until):
    out = []
    while (wakeup := link.next_wakeup()) is not None and wakeup <= until:
        out += [(wakeup, int.from_bytes(packet[:4], "big")) for packet in link.release(wakeup, 1)]
    return out


@given(impairments=all_impairments(), arrivals=arrivals, seed=st.integers(0, 2**64 - 1))
def test_every_stage_does_what_the_obvious_model_does(impairments, arrivals, seed):
    link, now, coming = LinkEmulator(impairments, seed, 0), 0, []
    for number, (wait, size, _) in enumerate(arrivals):
        now += wait
        coming.append((now, number, size))
    out = carried(link, arrivals)
    assert out == ObviousLink(impairments, seed).out(coming)
    stats = counted(link.stats())
    dropped = stats.scripted + stats.lost + stats.queue_drops + stats.early_drops
    assert stats.packets_in + stats.duplicated - dropped == stats.packets_out == len(out)
    assert stats.in_flight == 0
    assert link._held_bytes == link._counts.dropped_bytes


@given(
    first=all_impairments(), second=all_impairments(), arrivals=arrivals, later=arrivals, seed=st.integers(0, 2**64 - 1)
)
def test_no_frame_is_lost_in_a_change_and_none_leaves_before_its_time(first, second, arrivals, later, seed):
    link = LinkEmulator(first, seed, 0)
    now = 0
    for number, (wait, size, _) in enumerate(arrivals):
        now += wait
        link.accept([number.to_bytes(4, "big") + bytes(size - 4)], now)
    held = counted(link.stats()).in_flight
    link.replace(second, now)
    before = counted(link.stats())
    assert link.stats().in_flight == held - before.queue_drops - before.early_drops
    for number, (wait, size, _) in enumerate(later, len(arrivals)):
        now += wait
        link.accept([number.to_bytes(4, "big") + bytes(size - 4)], now)
    out = released(link, 1 << 62)
    assert [time for time, _ in out] == sorted(time for time, _ in out)
    stats = counted(link.stats())
    dropped = stats.scripted + stats.lost + stats.queue_drops + stats.early_drops
    assert stats.packets_in + stats.duplicated - dropped == stats.packets_out == len(out)
    assert stats.in_flight == 0
    assert link._held_bytes == link._counts.dropped_bytes


def stepped(impairments):
    """The same impairments, its rate given as a trace, so that it is carried out event by event."""
    bps = impairments.bottleneck.rate.bps
    steps = RateSteps(starts_ns=(0, MS), rates_bps=(bps, bps), period_ns=2 * MS)
    return replace(impairments, bottleneck=replace(impairments.bottleneck, rate=steps))


plain_rates = st.builds(
    lambda rate, queue, overhead, delay: Impairments(
        bottleneck=Bottleneck(rate=FixedRate(bps=rate), queue_bytes=queue, overhead_bytes=overhead), delay_ns=delay
    ),
    *(st.integers(10**6, 10**9), st.integers(1, 10_000), st.integers(0, 40), st.integers(0, 3 * MS)),
)


@given(
    first=plain_rates,
    steps=st.lists(st.tuples(plain_rates | st.none(), st.integers(0, MS // 2), st.integers(60, 1514)), max_size=40),
    steppings=st.lists(st.booleans(), min_size=41, max_size=41),
)
def test_a_rate_in_changes_is_the_same_however_it_is_carried_out(first, steps, steppings):
    straight, mixed = LinkEmulator(first, 1, 0), LinkEmulator(stepped(first) if steppings[-1] else first, 1, 0)
    now = 0
    for number, ((impairments, wait, size), is_stepped) in enumerate(zip(steps, steppings, strict=False)):
        now += wait
        if impairments:
            straight.replace(impairments, now)
            mixed.replace(stepped(impairments) if is_stepped else impairments, now)
        for link in (straight, mixed):
            link.accept([number.to_bytes(4, "big") + bytes(size - 4)], now)
    assert released(mixed, 1 << 62) == released(straight, 1 << 62)


@given(impairments=all_impairments(), arrivals=arrivals, seed=st.integers(0, 2**64 - 1))
def test_the_outcome_of_flow_queues_does_not_depend_on_when_the_process_wakes(impairments, arrivals, seed):
    if impairments.bottleneck:
        impairments = replace(impairments, bottleneck=replace(impairments.bottleneck, discipline=FqCoDel()))
    asleep = [(wait, size, False) for wait, size, _ in arrivals]
    assert carried(LinkEmulator(impairments, seed, 0), arrivals) == carried(LinkEmulator(impairments, seed, 0), asleep)
