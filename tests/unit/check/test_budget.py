from dataclasses import dataclass
from time import monotonic

import pytest

from testbed.check import QUICK, measure
from testbed.check.budget import Budget, rounds
from testbed.impairments import (
    Bottleneck,
    FixedRate,
    IndependentLoss,
)

MS = 1_000_000


@dataclass(frozen=True)
class Thing:
    kind: str
    number: int


def test_one_of_each_kind_comes_first():
    things = [Thing("a", 1), Thing("a", 2), Thing("a", 3), Thing("b", 4), Thing("c", 5), Thing("c", 6)]
    first, second = rounds(things, 4)
    assert [each.kind for each in (*first, *second)] == ["a", "b", "c", "a", "c", "a"]
    assert [[each.number for each in some] for some in rounds(things, 6)] == [[1, 4, 5, 2, 6, 3]]
    assert list(rounds([], 4)) == []


def test_links_for_which_there_is_no_time_are_spread_over_all_nodes():
    things = [Thing("alike", number) for number in range(1000)]
    first, *others = rounds(things, 16)
    assert max(each.number for each in first) > 500 > min(each.number for each in first)
    assert sorted(each.number for part in (first, *others) for each in part) == [*range(1000)]
    assert first == next(rounds(things, 16))


def test_a_budget_allows_work_that_ends_in_time():
    budget = Budget(60)
    assert budget.allows(50 * 10**9)
    assert not budget.allows(61 * 10**9)
    assert not budget.overrun
    assert Budget(0).overrun


def test_links_beyond_the_budget_are_reported_as_not_measured_and_pass(here, make_plan):
    plan = make_plan(
        ("client", "server", {"loss": IndependentLoss(probability=1)}),
        ("server", "client", {"bottleneck": Bottleneck(rate=FixedRate(bps=8_000), queue_bytes=10_000)}),
    )
    found = measure(plan, here, budget_s=0.01)
    assert not here.started
    assert all(each.passed for each in found)
    assert found[0].verdict == "not measured: it takes 3 s, the check may take 0.01 s (--check-budget)"


def test_some_of_many_equal_links_are_measured_within_the_budget(here, make_plan):
    budget_s = 6
    plan = make_plan(
        *[("client", "server", {"loss": IndependentLoss(probability=1)})] * 200,
        ("server", "client", {"loss": IndependentLoss(probability=2)}),
    )
    begun = monotonic()
    found = measure(plan, here, depth=QUICK, budget_s=budget_s)
    assert monotonic() - begun < 20 * budget_s  # it ends; when exactly is the machine's
    skipped = [each for each in found if each.skipped is not None]
    assert len(skipped) >= 100
    assert all(each.reservations == (each.verdict,) for each in skipped)
    measured = [each for each in found if each.arrived]
    if measured:
        assert (
            f"; of 200 links like it {sum(each.source == 'client' for each in measured)} were measured"
            in skipped[0].verdict
        )


@pytest.mark.parametrize("seconds", [0.5, 20])
def test_the_reason_names_the_option(here, make_plan, seconds):
    slow = ("client", "server", {"bottleneck": Bottleneck(rate=FixedRate(bps=8_000), queue_bytes=10_000)})
    (found,) = measure(make_plan(slow), here, budget_s=seconds)
    assert "--check-budget" in found.verdict
