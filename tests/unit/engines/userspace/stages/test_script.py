import pytest

from testbed.engines.userspace.core import LinkEmulator
from testbed.impairments import CLEAR, Drop, Impairments


def dropped(packets, *drops):
    """Places, from 1, of the packets that are dropped."""
    link = LinkEmulator(Impairments(drops=drops), 1, 0)
    lost = set()
    for place, packet in enumerate(packets, 1):
        link.accept([packet], place)
        if not link.release(place, 1):
            lost.add(place)
    assert link.stats().scripted == len(lost)
    return lost


@pytest.fixture
def handshake(frames):
    """A connection's packets: SYN, SYN-ACK, ACK, two of data, FIN; and an ARP and a UDP packet before."""
    kinds = [("s", b""), ("sa", b""), ("a", b""), ("pa", b"one"), ("a", b"two"), ("fa", b"")]
    return [
        frames.make("arp"),
        frames.make("udp", payload=b"question"),
        *(frames.make("tcp", flags=flags, payload=payload, ports=(1024, 443)) for flags, payload in kinds),
    ]


@pytest.mark.parametrize(
    ("drop", "places"),
    [
        (Drop(numbers=(1, 8, 9)), {1, 8}),
        (Drop(every=3), {3, 6}),
        (Drop(every=4, numbers=(1,)), {1, 4, 8}),
        (Drop(protocol="arp", every=1), {1}),
        (Drop(protocol="udp", every=1), {2}),
        (Drop(protocol="icmp", every=1), set()),
        (Drop(protocol="tcp", numbers=(1,)), {3}),
        (Drop(protocol="tcp", flags="sA", every=1), {3}),
        (Drop(protocol="tcp", flags="sa", every=1), {4}),
        (Drop(protocol="tcp", flags="S", every=1), {5, 6, 7, 8}),
        (Drop(protocol="tcp", payload=True, numbers=(2,)), {7}),
        (Drop(protocol="tcp", port=443, numbers=(2,)), {4}),
        (Drop(protocol="tcp", port=80, every=1), set()),
        (Drop(port=80, every=1), {2}),
        (Drop(payload=True, every=1), {2, 6, 7}),
    ],
)
def test_the_packets_that_match_are_counted_and_the_numbered_ones_dropped(handshake, drop, places):
    assert dropped(handshake, drop) == places


def test_every_rule_counts_packets_that_another_rule_drops(handshake):
    assert dropped(handshake, Drop(numbers=(1,)), Drop(every=2), Drop(numbers=(4,))) == {1, 2, 4, 6, 8}


def test_new_impairments_restart_the_count(handshake):
    link = LinkEmulator(Impairments(drops=(Drop(numbers=(1,)),)), 1, 0)
    for _ in range(3):
        link.accept(handshake[:2], 0)
        assert link.release(0, 9) == handshake[1:2]
        link.replace(CLEAR, 0)
        link.replace(Impairments(drops=(Drop(numbers=(1,)),)), 0)
    assert link.stats().scripted == 3
