"""The links of a node that joins others like it: web-2 joins web and web-1 on the network lan."""

from testbed.agent.link import ImpairedLink
from testbed.agent.link_copies import copies
from testbed.impairments import Impairments
from testbed.matching import ANY_NODE, LinkKey, Match

SLOW, LOSSLESS = Impairments(delay_ns=5), Impairments(delay_ns=1)


def links(*ends, impairments=SLOW, network="lan", match=None):
    keys = [LinkKey(source, destination, network, match) for source, destination in ends]
    made = [
        ImpairedLink(key=key, addresses={}, engine="userspace", why="", impairments=impairments, seed=number, device=7)
        for number, key in enumerate(keys)
    ]
    return {link.key: link for link in made}


def ends(found):
    return {(key.source, key.destination) for key in found}


def test_it_has_the_links_that_all_nodes_like_it_have():
    present = links(("web", "db"), ("web-1", "db"), ("db", "web"), ("web", "cache"))
    assert ends(copies(present, "web", "web-2", "lan", ["web-1"])) == {("web-2", "db")}


def test_what_two_of_them_have_with_each_other_each_has_with_it():
    present = links(("web", "web-1"), ("web-1", "web"))
    both_ways = {(one, other) for pair in (("web", "web-2"), ("web-1", "web-2")) for one, other in (pair, pair[::-1])}
    assert ends(copies(present, "web", "web-2", "lan", ["web-1"])) == both_ways


def test_a_copy_has_the_impairments_of_now_and_a_seed_of_its_own_and_is_not_made_yet():
    present = links(("web", "db"), match=Match(protocol=17))
    (copy,) = copies(present, "web", "web-1", "lan", []).values()
    (original,) = present.values()
    assert (copy.impairments, copy.key.match, copy.device) == (SLOW, Match(protocol=17), None)
    assert copy.seed != original.seed


def test_other_networks_and_uplinks_are_not_copied():
    present = links(("web", "db"), network="wan") | links(("web", ANY_NODE))
    assert copies(present, "web", "web-1", "lan", []) == {}


def test_a_link_that_it_has_already_stays():
    present = links(("web", "db")) | links(("web-1", "db"), impairments=LOSSLESS)
    assert copies(present, "web", "web-1", "lan", []) == {}
