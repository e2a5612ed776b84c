"""Which rules a port has, where links lead to the machine and beyond."""

from testbed.agent.gateways import Gateways
from testbed.agent.match_rules import Addressed, Rule
from testbed.agent.netlink import RouteSocket
from testbed.agent.ports import Gateway, Port, Side
from testbed.agent.rule_lists import PortLists, RuleLists
from testbed.matching import LinkKey, Match

LOCAL = frozenset({"198.18.0.1"})
ICMP = Match(protocol=1)
GATEWAY = Gateway(
    network="lan", index=9, bridge=1, mac="", interface="br", address="198.18.0.1", mtu=1500, is_port=False
)


def lists(links):
    keys = {
        LinkKey(source, destination, "lan", match): device for (source, destination, match), device in links.items()
    }
    with RouteSocket() as route:
        port = Port(
            node="a",
            network="lan",
            side=Side(0, -1, route),
            index=7,
            bridge=1,
            mac="",
            interface="eth0",
            mtu=1500,
            address="198.18.0.2",
        )
        return RuleLists(keys, Gateways({"lan": GATEWAY}), LOCAL).of(port)


def test_what_comes_from_the_machine_and_from_beyond_is_one_list():
    found = lists({("b", "a", None): 1, ("internet", "a", None): 2, ("host", "a", ICMP): 3, ("host", "a", None): 4})
    host = Addressed(LOCAL, of_destination=False, rules=(Rule(ICMP, 3), Rule(None, 4)))
    assert found == PortLists({"b": (Rule(None, 1),), "host": (host, Rule(None, 2))}, ())


def test_without_a_link_packets_of_the_machine_pass_beside_those_from_beyond():
    host = Addressed(LOCAL, of_destination=False, rules=())
    assert lists({("internet", "a", None): 2}).by_source == {"host": (host, Rule(None, 2))}


def test_what_goes_to_the_machine_is_taken_at_the_nodes_own_port():
    found = lists({("a", "host", None): 5, ("b", "host", None): 6})
    assert found == PortLists({}, (Addressed(LOCAL, of_destination=True, rules=(Rule(None, 5),)),))
