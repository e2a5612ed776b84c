"""Which engine carries a link, by all the impairments that it is to have."""

import pytest

from testbed.engines.choice import Kernel
from testbed.errors import MachineError
from testbed.impairments import (
    CERTAIN,
    Bottleneck,
    Drop,
    FixedRate,
    Impairments,
    IndependentLoss,
)

ABLE = Kernel(without_netem=None, unrepeatable=None)
LOSSY = Impairments(delay_ns=20_000_000, loss=IndependentLoss(probability=CERTAIN // 50))
SCRIPTED = Impairments(drops=(Drop(numbers=(3,)),))
SLOW = Impairments(bottleneck=Bottleneck(rate=FixedRate(bps=1_000_000), queue_bytes=64_000))


def choose(kernel, *all_impairments, wanted="auto", repeatable=False):
    return kernel.choose("a -> b", all_impairments, wanted, mtu=1500, repeatable=repeatable)


def test_netem_where_it_does_exactly_all_that_is_asked():
    assert choose(ABLE, LOSSY, Impairments())[0] == "netem"


@pytest.mark.parametrize("later", [SCRIPTED, SLOW])
def test_what_a_run_makes_of_the_link_counts_too(later):
    assert choose(ABLE, LOSSY, later) == choose(ABLE, later)
    assert choose(ABLE, LOSSY, later)[0] == "userspace"


def test_what_is_asked_for_is_had_or_refused():
    assert choose(ABLE, LOSSY, SCRIPTED, wanted="userspace") == ("userspace", "asked for")
    assert choose(ABLE, LOSSY, SLOW, wanted="netem") == ("netem", "asked for")
    with pytest.raises(MachineError, match=r"engine-unavailable: a -> b: .*by script"):
        choose(ABLE, LOSSY, SCRIPTED, wanted="netem")


def test_a_kernel_that_cannot_repeat():
    forgetful = Kernel(without_netem=None, unrepeatable="no seed before Linux 6.6")
    assert choose(forgetful, Impairments(), LOSSY)[0] == "netem"
    assert choose(forgetful, Impairments(), LOSSY, repeatable=True) == ("userspace", "no seed before Linux 6.6")
    assert (
        choose(forgetful, Impairments(), Impairments(loss=IndependentLoss(probability=CERTAIN)), repeatable=True)[0]
        == "netem"
    )


def test_a_kernel_without_netem():
    bare = Kernel(without_netem=MachineError("no-netem", "no sch_netem", "modprobe it"), unrepeatable=None)
    assert choose(bare, LOSSY) == ("userspace", "no sch_netem")
    with pytest.raises(MachineError, match="no sch_netem") as raised:
        choose(bare, LOSSY, wanted="netem")
    assert raised.value.hint == "modprobe it"
