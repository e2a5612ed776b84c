"""What lies between machines in delays that are too high: found by both directions together, and named."""

from dataclasses import replace

import pytest

from testbed.agent.client import Apart
from testbed.check.distances import both_ways, with_distances
from testbed.check.verdict import AS_REQUESTED, Finding, LinkCheck, unmeasured
from testbed.impairments import CLEAR

MS = 1_000_000


def checked(source, destination, asked_ms, measured_ms, *, path=(), verdict=AS_REQUESTED):
    delay = Finding(
        name="delay",
        asked=asked_ms * MS,
        measured=measured_ms * MS,
        interval=((measured_ms - 0.1) * MS, (measured_ms + 0.1) * MS),
        verdict=verdict,
        passed=verdict == AS_REQUESTED,
    )
    loss = replace(delay, name="loss", asked=0, measured=0, interval=(0, 0), verdict=AS_REQUESTED, passed=True)
    return LinkCheck(
        source=source,
        destination=destination,
        network="lan",
        asked=CLEAR,
        sent=100,
        arrived=100,
        findings=(delay, loss),
        path=path,
    )


def verdicts(*checks, uncertain_ms=25.0):
    return [check.verdict for check in both_ways(checks, lambda _one, _other: round(uncertain_ms * MS))]


@pytest.mark.parametrize(
    ("there", "back", "verdict"),
    [
        (60, 60, "delay too high"),
        (80, 40, "delay too high"),  # as if the clocks were 20 ms apart
        (60, 20.2, "as requested"),
        (41, 41, "as requested"),  # within what a busy machine takes
    ],
)
def test_both_directions_together_have_no_error_of_clocks(there, back, verdict):
    pair = checked("a", "b", 40, there), checked("b", "a", 40, back)
    assert verdicts(*pair) == [verdict] * 2
    assert verdicts(*pair, uncertain_ms=0) == ["as requested"] * 2


def test_a_direction_without_the_other_is_judged_by_the_clocks_alone():
    assert verdicts(checked("a", "b", 40, 60)) == ["as requested"]
    silent = replace(checked("b", "a", 40, 60), findings=(unmeasured("delay", 40 * MS, "nothing arrives"),))
    assert verdicts(checked("a", "b", 40, 60), silent)[0] == "as requested"


def between(*apart):
    found = {Apart(tuple(sorted(names)), round(ms * MS)) for *names, ms in apart}

    def of(source, destination):
        names = tuple(sorted((source[0], destination[0])))  # the machine of a node is its first letter
        return next((each for each in found if each.machines == names), None)

    return of


def test_the_distance_is_named_with_the_fix():
    check = with_distances(checked("east-a", "west-b", 40, 60.2, verdict="too high"), between(("e", "w", 20.1)))
    said = "delay too high: 20.1 ms of it lie between machines e and w; "
    assert check.verdict == f"{said}ask for 19.9 ms, or place the nodes on one machine (host)"
    check = with_distances(checked("east-a", "west-b", 5, 25.2, verdict="too high"), between(("e", "w", 20.1)))
    assert check.verdict == f"{said}place the nodes on one machine (host)"


def test_distances_on_a_path_add_up():
    path = checked("east-a", "east-b", 100, 130, path=("west-r", "third-r"), verdict="too high")
    check = with_distances(path, between(("e", "w", 10), ("t", "w", 5), ("e", "t", 15)))
    assert "30 ms of it lie between machines e and w; t and w; e and t; ask for 70 ms" in check.verdict


@pytest.mark.parametrize("apart", [between(), between(("e", "w", 0.2))])
def test_a_distance_that_explains_little_is_not_named(apart):
    check = checked("east-a", "west-b", 40, 60, verdict="too high")
    assert with_distances(check, apart) == check
