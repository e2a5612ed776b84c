"""Which engine carries a link, by all the impairments that it is to have."""

import pytest

from testbed.agent.link_devices import LinkDevices
from testbed.agent.netlink import RouteSocket
from testbed.engines import CHOICES, ENGINES, load
from testbed.engines.choice import choose
from testbed.engines.engine import Switch, Verdict
from testbed.engines.netem.engine import NetemEngine
from testbed.errors import MachineError
from testbed.impairments import CERTAIN, Bottleneck, Drop, FixedRate, Impairments, IndependentLoss
from testbed.linux import namespaces

LOSSY = Impairments(delay_ns=20_000_000, loss=IndependentLoss(probability=CERTAIN // 50))
SCRIPTED = Impairments(drops=(Drop(numbers=(3,)),))
SLOW = Impairments(bottleneck=Bottleneck(rate=FixedRate(bps=1_000_000), queue_bytes=64_000))
NO_NETEM = MachineError("netem-missing", "no sch_netem", "modprobe it")


@pytest.fixture(scope="module")
def engines():
    """All engines, none of which has been probed."""
    place = namespaces.current_network()
    with namespaces.inside(place), RouteSocket() as route:
        switch = Switch(place, place, LinkDevices("lab-x", place, route, place))
        yield {"netem": NetemEngine(switch), "userspace": load("userspace", switch)}


@pytest.fixture
def chosen(engines):
    """What is chosen for impairments that follow one another."""

    def choose_for(*successive, wanted="auto", repeatable=False, missing=(), engines=engines):
        return choose("a -> b", successive, wanted, engines, dict(missing), mtu=1500, repeatable=repeatable)

    return choose_for


def test_the_preferred_engine_is_taken_where_it_does_exactly_what_the_file_says(chosen):
    assert chosen(LOSSY, Impairments())[0] == "netem"


@pytest.mark.parametrize("later", [SCRIPTED, SLOW])
def test_what_a_run_makes_of_the_link_counts_too(chosen, later):
    assert chosen(LOSSY, later) == chosen(later)
    assert chosen(LOSSY, later)[0] == "userspace"


def test_an_engine_that_is_named_carries_the_link_or_says_why_not(chosen):
    assert chosen(LOSSY, SCRIPTED, wanted="userspace") == ("userspace", "asked for")
    assert chosen(LOSSY, SLOW, wanted="netem") == ("netem", "asked for")
    with pytest.raises(MachineError, match=r"engine-unavailable: a -> b: engine netem .*by script") as raised:
        chosen(LOSSY, SCRIPTED, wanted="netem")
    assert raised.value.hint == "leave engine out (auto), or ask for userspace"


def test_an_engine_that_does_not_repeat_is_avoided_only_where_a_seed_was_asked_for(chosen, engines):
    engines["netem"]._unseeded = "no seed before Linux 6.6"
    try:
        assert chosen(Impairments(), LOSSY)[0] == "netem"
        assert chosen(Impairments(), LOSSY, repeatable=True) == ("userspace", "no seed before Linux 6.6")
        assert (
            chosen(Impairments(), Impairments(loss=IndependentLoss(probability=CERTAIN)), repeatable=True)[0] == "netem"
        )
    finally:
        engines["netem"]._unseeded = None


def test_an_engine_that_is_missing_is_avoided_or_its_lack_is_the_error(chosen):
    assert chosen(LOSSY, missing={"netem": NO_NETEM}) == ("userspace", "no sch_netem")
    with pytest.raises(MachineError, match="no sch_netem") as raised:
        chosen(LOSSY, wanted="netem", missing={"netem": NO_NETEM})
    assert raised.value.hint == "modprobe it"


class Approximate:
    """An engine of another package that does all, but nothing to the letter."""

    def judge(self, _impairments, *, mtu):
        return Verdict(inexact=f"it rounds at {mtu}")


def test_where_no_engine_is_exact_the_preferred_one_that_can_do_it_is_taken(chosen, engines):
    several = {"netem": engines["netem"], "rough": Approximate()}
    name, why = chosen(SCRIPTED, engines=several)
    assert name == "rough"
    assert why.endswith("by script; it rounds at 1500")
    with pytest.raises(MachineError, match=r"no engine can do this link: netem: .*by script; rough: broken"):
        chosen(SCRIPTED, engines=several, missing={"rough": MachineError("rough-missing", "broken", None)})


def test_what_a_file_may_ask_for_is_the_registry():
    assert ("auto", *ENGINES) == CHOICES
