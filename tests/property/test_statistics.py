"""The statistics of checks against exact arithmetic, and against what defines them."""

import math
import random
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from testbed import statistics


@st.composite
def counts(draw, most=60):
    trials = draw(st.integers(1, most))
    return draw(st.integers(0, trials)), trials


probabilities = st.integers(1, 999).map(lambda thousandths: Fraction(thousandths, 1000))


def exact_pmf(count, trials, probability):
    return math.comb(trials, count) * probability**count * (1 - probability) ** (trials - count)


@given(counts(), probabilities)
def test_probabilities_are_those_of_exact_arithmetic(case, probability):
    count, trials = case
    assert math.isclose(
        statistics.binomial_pmf(count, trials, float(probability)),
        exact_pmf(count, trials, probability),
        rel_tol=1e-9,
        abs_tol=1e-300,
    )
    exact = sum(exact_pmf(k, trials, probability) for k in range(count + 1))
    assert math.isclose(statistics.binomial_cdf(count, trials, float(probability)), exact, rel_tol=1e-9, abs_tol=1e-300)


@given(counts(), probabilities)
def test_the_p_value_is_the_sum_of_all_that_is_no_likelier(case, probability):
    count, trials = case
    likelihoods = [exact_pmf(k, trials, probability) for k in range(trials + 1)]
    exact = sum(one for one in likelihoods if one <= likelihoods[count])
    assert math.isclose(statistics.binomial_test(count, trials, float(probability)), exact, rel_tol=1e-6)


@given(counts(500), st.sampled_from([0.9, 0.95, 0.99, 0.999]))
def test_the_bounds_are_where_a_tail_has_the_rest(case, confidence):
    count, trials = case
    low, high = statistics.clopper_pearson(count, trials, confidence)
    assert 0 <= low <= count / trials <= high <= 1
    tail = (1 - confidence) / 2
    if count:
        assert math.isclose(1 - statistics.binomial_cdf(count - 1, trials, low), tail, rel_tol=1e-4)
    if count < trials:
        assert math.isclose(statistics.binomial_cdf(count, trials, high), tail, rel_tol=1e-4)


@settings(max_examples=30)
@given(st.integers(1, 40), probabilities)
def test_the_interval_covers_with_at_least_its_confidence(trials, probability):
    covered = sum(
        exact_pmf(count, trials, probability)
        for count in range(trials + 1)
        for low, high in [statistics.clopper_pearson(count, trials, 0.95)]
        if low <= probability <= high
    )
    assert covered >= 0.95


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=200), st.sampled_from([0.25, 0.5, 0.75]))
def test_a_quantile_lies_in_its_interval_and_in_the_sample(values, fraction):
    ordered = sorted(values)
    low, high = statistics.quantile_interval(ordered, fraction, 0.9)
    assert low <= statistics.quantile(ordered, fraction) <= high
    assert {low, high} <= {*values, -math.inf, math.inf}


@given(st.integers(20, 200), st.sampled_from([0.25, 0.5, 0.75]), st.integers(0, 1 << 32))
def test_the_interval_of_a_quantile_is_as_wide_as_it_must_be_and_no_wider(size, fraction, seed):
    """By the definition: the chance that the count below the quantile is at least the rank, and one rank further in."""
    rng = random.Random(seed)
    ordered = sorted(rng.sample(range(10**6), size))
    low, high = statistics.quantile_interval(ordered, fraction, 0.9)
    f = Fraction(fraction)
    if low != -math.inf:
        rank = ordered.index(int(low))  # values below it
        assert sum(exact_pmf(k, size, f) for k in range(rank + 1)) <= Fraction(1, 20) + Fraction(1, 10**12)
        assert sum(exact_pmf(k, size, f) for k in range(rank + 2)) > Fraction(1, 20) - Fraction(1, 10**12)
    if high != math.inf:
        rank = ordered.index(int(high))
        assert sum(exact_pmf(k, size, f) for k in range(rank + 1, size + 1)) <= Fraction(1, 20) + Fraction(1, 10**12)
        assert sum(exact_pmf(k, size, f) for k in range(rank, size + 1)) > Fraction(1, 20) - Fraction(1, 10**12)


@settings(max_examples=50)
@given(st.integers(20, 400), st.integers(0, 1 << 32), st.floats(0, 5), st.floats(0, 5))
def test_what_is_drawn_from_a_distribution_and_comes_late_is_told_from_it_by_chance_only(size, seed, early, late):
    """Massart's bound holds whatever the distribution, the size, and how late or early within what is granted."""
    rng = random.Random(seed)
    asked = sorted(rng.gauss(0, 10) for _ in range(4096))
    sample = sorted(rng.choice(asked) + rng.uniform(-early, late) for _ in range(size))
    distance = statistics.distance_beyond(sample, asked, early=early, late=late)
    assert statistics.distance_test(distance, size) > 1e-6
    assert statistics.distance_beyond(sample, asked, early=early + 1, late=late + 1) <= distance


SCALES = st.sampled_from([(statistics.LOG, 0, 1e15), (statistics.LOGIT, 0, 1)])


def there(interval):
    """An interval that there must be."""
    assert interval is not None
    return interval


@given(SCALES.flatmap(lambda it: st.tuples(st.just(it[0]), st.lists(st.floats(it[1], it[2]), min_size=3, max_size=9))))
def test_intervals_of_means_stay_in_range_and_hold_the_mean(drawn):
    scale, values = drawn
    low, high = there(statistics.mean_interval(values, scale, 0.95))
    mean = math.fsum(values) / len(values)
    slack = 1e-9 * max(values)
    assert scale.low <= low <= mean + slack
    assert mean - slack <= high <= scale.high


@given(
    SCALES.flatmap(
        lambda it: st.tuples(
            st.just(it[0]), *[st.lists(st.floats(it[1], it[2]), min_size=3, max_size=6) for _ in range(2)]
        )
    )
)
def test_intervals_of_differences_lead_to_values_in_range(drawn):
    scale, before, after = drawn
    first = math.fsum(before) / len(before)
    low, high = there(statistics.difference_interval(before, after, scale, 0.99))
    slack = 1e-9 * max(*before, *after, 1)
    assert scale.low - slack <= first + low <= first + high + slack
    assert first + high <= scale.high + slack
