import socket
from dataclasses import replace

import pytest

from testbed.check import QUICK, measure, probe
from testbed.check.filling import ATTEMPTS
from testbed.impairments import (
    CERTAIN,
    Bottleneck,
    Drop,
    FixedRate,
    IndependentLoss,
)

MS = 1_000_000
BRIEF = replace(QUICK, probes_ns=400 * MS)


def test_a_link_that_is_not_as_requested_fails(here, make_plan):
    plan = make_plan(
        ("client", "server", {"delay_ns": 20 * MS}),
        ("server", "client", {"loss": IndependentLoss(probability=CERTAIN // 2)}),
    )
    fractions: list[float] = []
    there, back = measure(plan, here, depth=BRIEF, progress=fractions.append)
    assert (there.link, back.link) == ("client -> server", "server -> client")
    assert "delay too low" in there.verdict
    assert len({*here.seeds}) == ATTEMPTS  # each train of a link has a seed of its own
    assert "loss" not in there.verdict
    assert "loss too low" in back.verdict
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1


def test_only_the_links_given_are_probed(here, make_plan):
    plan = make_plan(("client", "server", {"delay_ns": 20 * MS}), ("server", "client", {"delay_ns": 20 * MS}))
    (found,) = measure(plan, here, links=plan.links[1:], depth=BRIEF)
    assert found.link == "server -> client"


def test_a_link_that_cannot_be_probed_fails_with_the_reason(here, make_plan):
    # No interface anywhere has an address of class E (RFC 1112, 4).
    plan = make_plan(("client", "server", {"delay_ns": 20 * MS}), address="240.0.0.1")
    (found,) = measure(plan, here, depth=BRIEF)
    assert not found.passed
    assert "240.0.0.1" in found.verdict
    assert found.findings == ()


def test_a_port_that_is_taken_is_the_reason(here, make_plan):
    plan = make_plan(("client", "server", {"delay_ns": 20 * MS}))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", probe.FIRST_PORT))
        (found,) = measure(plan, here, depth=BRIEF)
    assert str(probe.FIRST_PORT) in found.verdict


def test_an_interrupt_ends_the_probes(here, make_plan):
    plan = make_plan(("client", "server", {"delay_ns": 20 * MS}), ("server", "client", {"delay_ns": 20 * MS}))

    def interrupt(fraction):
        if fraction:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measure(plan, here, depth=replace(BRIEF, probes_ns=10_000 * MS), progress=interrupt)
    assert here.started
    assert all(local.process.poll() is not None for local in here.started)


def test_a_plan_without_links_has_nothing_to_check(here, make_plan):
    assert measure(make_plan(), here) == ()


def test_a_rate_is_measured(here, make_plan):
    plan = make_plan(("client", "server", {"bottleneck": Bottleneck(rate=FixedRate(bps=10**6), queue_bytes=10**5)}))
    (found,) = measure(plan, here, depth=BRIEF)
    assert found.verdict == "rate too high"
    measured = rate.measured if (rate := found.finding("rate")) else None
    assert measured is not None
    assert measured > 1.02 * 10**6


def test_a_queue_is_measured_in_depth(here, make_plan):
    plan = make_plan(("client", "server", {"bottleneck": Bottleneck(rate=FixedRate(bps=10**6), queue_bytes=20_000)}))
    (found,) = measure(plan, here, depth=replace(BRIEF, queues=True))
    assert "queue too deep: nothing was dropped" in found.verdict


def test_scripted_drops_are_reported_as_not_measured(here, make_plan):
    plan = make_plan(("client", "server", {"drops": (Drop(numbers=(3,)),)}))
    (found,) = measure(plan, here, depth=BRIEF)
    assert any(each.startswith("drops not measured") for each in found.reservations)


def test_no_rate_is_measured_on_a_link_that_loses_everything(here, make_plan):
    plan = make_plan(
        (
            "client",
            "server",
            {
                "loss": IndependentLoss(probability=CERTAIN),
                "bottleneck": Bottleneck(rate=FixedRate(bps=10**6), queue_bytes=10**5),
            },
        )
    )
    (found,) = measure(plan, here, depth=BRIEF)
    assert "loss too low" in found.verdict
    assert "rate not measured: too much is lost to keep the link busy" in found.reservations
