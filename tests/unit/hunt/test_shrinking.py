"""What is left of faults that fail: nothing that could be left out, be shorter or be milder."""

from hypothesis import given
from hypothesis import strategies as st

from testbed import units
from testbed.hunt import shrink
from testbed.hunt.shrinking import minimal, simplifications


def entry(number, **keys):
    return {"at": f"{number}s", "node": f"n{number}", "pause": "2s", **keys}


@given(total=st.integers(1, 20), data=st.data())
def test_the_needed_faults_are_what_is_left(total, data):
    entries = [entry(number) for number in range(total)]
    needed = data.draw(st.sets(st.sampled_from(range(total)), min_size=1))
    asked = []

    def fails(some):
        asked.append(len(some))
        return needed <= {int(each["node"][1:]) for each in some}

    left = minimal(entries, fails)
    assert [each["node"] for each in left] == [f"n{number}" for number in sorted(needed)]
    assert len(asked) <= 4 * total * total + 10


@given(total=st.integers(2, 9), data=st.data())
def test_either_of_two_faults_is_enough(total, data):
    """Not monotone in which ones: any one of some faults fails; one of them is left."""
    entries = [entry(number) for number in range(total)]
    enough = data.draw(st.sets(st.sampled_from(range(total)), min_size=1))
    left = minimal(entries, lambda some: any(int(each["node"][1:]) in enough for each in some))
    assert len(left) == 1


def test_what_fails_without_faults_needs_none():
    assert minimal([entry(1)], lambda _: True) == ()


@given(needed_ms=st.integers(100, 2000), percent=st.integers(1, 60))
def test_faults_are_as_short_and_as_mild_as_they_fail(needed_ms, percent):
    entries = [entry(1), {"at": "2s", "link": {"between": ["a", "b"]}, "loss": "60%", "for": "1s"}]

    def fails(some):
        pauses = [units.DURATION.parse(each["pause"]) for each in some if "pause" in each]
        losses = [float(each["loss"].removesuffix("%")) for each in some if "loss" in each]
        return max(pauses, default=0) >= needed_ms * 1e6 and max(losses, default=0) >= percent

    first, second = shrink(entries, fails)
    length_ms, loss = units.DURATION.parse(first["pause"]) / 1e6, float(second["loss"].removesuffix("%"))
    assert needed_ms <= length_ms < max(2 * needed_ms + 1, 201)
    assert percent <= loss < max(2 * percent, 2)
    assert units.DURATION.parse(second["for"]) < 2e8  # its length did not matter


def test_simplifications_end():
    left, steps = [{"delay": "10s", "for": "1min", "link": {}, "at": "1s"}], 0
    while left:
        steps += 1
        assert steps < 100
        left = list(simplifications(left[0]))
