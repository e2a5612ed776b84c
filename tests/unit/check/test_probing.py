import socket
from array import array

import pytest

from testbed.check import measure, probing
from testbed.endpoint.columns import encode
from testbed.shape import CERTAIN, Shape
from testbed.workloads.messages import Messages

MS = 1_000_000
BRIEF = 100 * MS


def messages(sent_ns, received):
    told = Messages()
    told.add({"event": "sent", "first": 0, "sent_ns": encode(sent_ns)})
    told.add(
        {
            "event": "received",
            "seq": encode([number for number, _ in received]),
            "received_ns": encode([at_ns for _, at_ns in received]),
        }
    )
    return told


def test_probes_that_waited_for_arp_do_not_count():
    """One probe every 2 ms, delay 20 ms; all wait for ARP until 40 ms, then go in one burst."""
    sent_ns = array("q", range(0, 200 * MS, 2 * MS))
    received = [(number, max(at_ns, 40 * MS) + 20 * MS) for number, at_ns in enumerate(sent_ns)]
    found = probing.counting(messages(sent_ns, received))
    assert {*found.delays_ns} == {20 * MS}
    assert found.sent == len(found.delays_ns) == 100 - 41  # sent after 80 ms, when what was sent by 60 ms had arrived


def test_loss_before_the_first_arrival_does_not_count_and_later_loss_does():
    sent_ns = array("q", range(0, 200 * MS, 2 * MS))
    received = [(number, at_ns + 20 * MS) for number, at_ns in enumerate(sent_ns) if number > 5 and number % 10]
    found = probing.counting(messages(sent_ns, received))
    first = (12 + 20 + 20) // 2 + 1  # number 6 arrives at 32 ms, number 16 at 52 ms
    assert found.sent == 100 - first
    assert found.sent - len(found.delays_ns) == sum(number % 10 == 0 for number in range(first, 100))


def test_where_nothing_arrives_all_counts():
    found = probing.counting(messages(array("q", range(100)), []))
    assert (found.sent, list(found.delays_ns)) == (100, [])


@pytest.mark.parametrize(
    "shape",
    [
        Shape(delay_ns=20 * MS),
        Shape(delay_ns=20 * MS, jitter_ns=10 * MS),
        Shape(rate_bps=64_000, queue_bytes=1500),
        Shape(rate_bps=10**9, queue_bytes=1500),
        Shape(loss=CERTAIN * 9 // 10),
    ],
)
def test_probes_are_few_and_far_between_but_enough(shape):
    interval_ns, count = probing.interval_ns(shape), probing.probes(shape, probing.DEPTH_NS)
    assert interval_ns >= max(2 * shape.jitter_ns, 2 * MS)
    if shape.rate_bps:
        assert 54 * 8 * 10**9 / interval_ns <= shape.rate_bps / 10
    assert count * (1 - shape.loss / CERTAIN) >= 49


def test_a_link_that_is_not_shaped_as_asked_fails(here, make_plan):
    plan = make_plan(("client", "server", {"delay_ns": 20 * MS}), ("server", "client", {"loss": CERTAIN // 2}))
    fractions: list[float] = []
    there, back = measure(plan, here, depth_ns=BRIEF, progress=fractions.append)
    assert (there.link, back.link) == ("client -> server", "server -> client")
    assert "delay too low" in there.verdict
    assert "loss" not in there.verdict
    assert "loss too low" in back.verdict
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1


def test_only_the_links_given_are_probed(here, make_plan):
    plan = make_plan(("client", "server", {"delay_ns": 20 * MS}), ("server", "client", {"delay_ns": 20 * MS}))
    (found,) = measure(plan, here, links=plan.links[1:], depth_ns=BRIEF)
    assert found.link == "server -> client"


def test_a_link_that_cannot_be_probed_fails_with_the_reason(here, make_plan):
    plan = make_plan(("client", "server", {"delay_ns": 20 * MS}), address="198.18.0.1")
    (found,) = measure(plan, here, depth_ns=BRIEF)
    assert not found.passed
    assert "198.18.0.1" in found.verdict
    assert found.findings == ()


def test_a_port_that_is_taken_is_the_reason(here, make_plan):
    plan = make_plan(("client", "server", {"delay_ns": 20 * MS}))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", probing.FIRST_PORT))
        (found,) = measure(plan, here, depth_ns=BRIEF)
    assert str(probing.FIRST_PORT) in found.verdict


def test_an_interrupt_ends_the_probes(here, make_plan):
    plan = make_plan(("client", "server", {"delay_ns": 20 * MS}), ("server", "client", {"delay_ns": 20 * MS}))

    def interrupt(fraction):
        if fraction:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measure(plan, here, depth_ns=60_000 * MS, progress=interrupt)
    assert here.started
    assert all(local.process.poll() is not None for local in here.started)


def test_a_plan_without_links_has_nothing_to_check(here, make_plan):
    assert measure(make_plan(), here) == ()
