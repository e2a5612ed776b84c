import asyncio

import pytest
from pyroute2 import AsyncIPRoute

from testbed.engines.netem import tree
from testbed.engines.netem.qdiscs import Netem, StateLoss
from testbed.errors import LabError
from testbed.impairments import (
    Impairments,
    Jitter,
)

NO_DEVICE = 0x7FFF_FFFF


def test_unsupported_impairments_are_not_applied():
    with pytest.raises(LabError) as caught:
        asyncio.run(tree.apply(None, NO_DEVICE, Impairments(delay_ns=2, jitter=Jitter(ns=1)), mtu=1500))
    assert caught.value.code == "impairments-not-supported"


def test_what_the_kernel_refuses_is_not_applied():
    async def apply():
        async with AsyncIPRoute() as ip:
            await tree.apply(ip, NO_DEVICE, Impairments(delay_ns=1), mtu=1500)

    with pytest.raises(LabError) as caught:
        asyncio.run(apply())
    assert caught.value.code == "impairments-not-applied"
    assert str(NO_DEVICE) in caught.value.message


def test_a_device_that_is_gone_has_no_statistics():
    async def read():
        async with AsyncIPRoute() as ip:
            await tree.counters(ip, NO_DEVICE)

    with pytest.raises(LabError) as caught:
        asyncio.run(read())
    assert caught.value.code == "impairments-missing"


def test_differences_name_the_field_with_both_values():
    asked = Netem(limit=1, delay_ns=40)
    assert tree._differences(asked, asked) == ""
    assert tree._differences(asked, Netem(limit=1, delay_ns=41)) == "delay_ns is 41, asked for 40"
    correlated = Netem(limit=1, delay_ns=40, loss_model=StateLoss(p13=1, p31=2, p32=3, p14=4, p23=5))
    assert "loss_model is {'p13': 1" in tree._differences(asked, correlated)


def test_a_seed_counts_where_one_was_asked_for():
    """Kernels before 6.6 ignore a seed; later ones report their own where none was given."""
    assert tree._differences(Netem(limit=1, seed=7), Netem(limit=1)) == "seed is None, asked for 7"
    assert tree._differences(Netem(limit=1), Netem(limit=1, seed=7)) == ""


def test_a_table_that_the_kernel_tells_nobody_is_no_difference():
    assert tree._differences(Netem(limit=1, delay_table=(1, 2)), Netem(limit=1)) == ""
