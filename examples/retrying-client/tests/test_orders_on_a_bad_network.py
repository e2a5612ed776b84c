"""The same client and server on a network that loses packets, and for two seconds all answers."""

import time

import pytest

pytestmark = pytest.mark.topology("../network.yml", runtime="netns")

ORDERS = 12


def wait_for(lab, text):
    """Wait until the server has written a text."""
    deadline = time.monotonic() + 60
    while text not in lab["server"].logs():
        assert time.monotonic() < deadline, f"the server did not write {text!r}"
        time.sleep(0.05)


def place_orders(lab):
    return lab["client"].popen(["python3", "-m", "orders.client", "server", str(ORDERS)])


def test_every_order_counts_once_where_packets_are_lost(lab):
    with place_orders(lab) as client:
        assert list(client) == [str(ORDERS)]


def test_every_order_counts_once_although_answers_are_lost_for_two_seconds(lab):
    with place_orders(lab) as client:
        wait_for(lab, "order-5")
        with lab.link("server", "client").impaired(blackhole=True):
            time.sleep(2)
        assert list(client) == [str(ORDERS)]
