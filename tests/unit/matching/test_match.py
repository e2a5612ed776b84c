"""Matches: what they can be, what they are called, and what one leaves for another."""

import pytest

from testbed import codec
from testbed.matching import LinkKey, Match, Packets, covers, lines_that_take, longest, merged

UDP, TCP, ICMP = 17, 6, 1
DNS = Match(protocol=UDP, port=((53, 53),))


@pytest.mark.parametrize(
    ("match", "text"),
    [
        (DNS, "udp port 53"),
        (Match(port=((53, 53), (5000, 5099))), "port 53,5000-5099"),
        (
            Match(protocol=TCP, source_port=((1, 9),), destination_port=((80, 80),)),
            "tcp source port 1-9 destination port 80",
        ),
        (Match(dscp=46), "dscp EF"),
        (Match(dscp=0), "dscp DF"),
        (Match(protocol=47, dscp=5), "gre dscp 5"),
        (Match(protocol=200), "protocol 200"),
    ],
)
def test_a_match_is_named_and_stored(match, text):
    assert str(match) == text
    assert codec.decode(codec.encode(match), Match) == match


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"protocol": 256},
        {"dscp": 64},
        {"protocol": ICMP, "port": ((1, 1),)},
        {"port": ((1, 1),), "source_port": ((1, 1),)},
        {"port": ((5, 9), (1, 2))},
        {"port": ((1, 2), (3, 4))},
        {"port": ((1, 65536),)},
    ],
)
def test_a_match_that_cannot_be_is_refused(wrong):
    with pytest.raises(ValueError, match=r"."):
        Match(**wrong)


def test_ranges_that_touch_are_one():
    assert merged([(5, 9), (1, 3), (4, 4), (8, 20), (30, 30)]) == ((1, 20), (30, 30))


def test_the_key_of_a_link_names_it():
    link = LinkKey("a", "b", "lan", DNS)
    assert (str(link), link.name, str(link.back)) == (
        "a -> b (udp port 53) on lan",
        "a -> b (udp port 53)",
        "b -> a (udp port 53) on lan",
    )
    assert link.plain == LinkKey("a", "b", "lan")


@pytest.mark.parametrize(
    ("earlier", "match", "covered"),
    [
        ([Match(protocol=UDP)], DNS, True),
        ([DNS], Match(protocol=UDP), False),
        ([Match(port=((53, 53),))], DNS, True),
        ([DNS], Match(port=((53, 53),)), False),
        ([DNS, Match(protocol=TCP, port=((53, 53),))], Match(port=((53, 53),)), True),
        ([Match(protocol=UDP, source_port=((53, 53),))], DNS, False),
        (
            [Match(protocol=UDP, source_port=((53, 53),)), Match(protocol=UDP, destination_port=((53, 53),))],
            DNS,
            True,
        ),
        ([Match(protocol=UDP, port=((1, 30000),)), Match(protocol=UDP, port=((30001, 65535),))], DNS, True),
        ([Match(protocol=UDP, port=((0, 65535),))], Match(protocol=UDP), False),  # later fragments have no ports
        ([Match(dscp=46)], Match(dscp=46, protocol=UDP), True),
        ([Match(dscp=number) for number in range(64)], Match(protocol=ICMP), True),
        ([Match(dscp=number) for number in range(63)], Match(protocol=ICMP), False),
        ([], DNS, False),
    ],
)
def test_what_earlier_matches_leave(earlier, match, covered):
    assert covers(earlier, match) == covered


def test_the_lines_that_packets_of_a_program_can_take():
    lines = [Match(protocol=TCP), DNS, Match(protocol=UDP, destination_port=((5000, 5100),)), Match(dscp=46)]
    assert [*lines_that_take(Packets(("tcp",)), lines)] == [lines[0]]
    assert [*lines_that_take(Packets(("icmp",)), lines)] == [lines[3], None]
    udp = Packets(("udp",), destination_port=5001)
    assert [*lines_that_take(udp, lines)] == [lines[1], lines[2], lines[3], None]  # from port 53; later fragments
    assert [*lines_that_take(Packets(), [])] == [None]


def test_icmp_of_ipv6_is_a_protocol_of_its_own():
    ping = Packets(("icmp", "tcp"))
    assert ping.over(4) == ping
    assert ping.over(6) == Packets(("icmpv6", "tcp"))


def test_the_longest_time_is_of_the_lines_that_packets_can_take():
    times = {DNS: 100, Match(protocol=TCP): 7, None: 20}
    assert longest(Packets(("tcp",)), times) == 7
    assert longest(Packets(("icmp",)), times) == 20
    assert longest(Packets(("udp",), destination_port=53), times) == 100
    assert longest(Packets(("icmp",)), {DNS: 100}) == 0
    assert longest(Packets(), times) == 100
