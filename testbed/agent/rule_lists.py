"""What the rules of ports are, computed from the links of a lab."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from testbed.agent.match_rules import Addressed, Rule
from testbed.matching import ANY_NODE
from testbed.names import BUILT_IN, HOST, INTERNET

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from testbed.agent.gateways import Gateways
    from testbed.agent.match_rules import Rules
    from testbed.agent.ports import Port
    from testbed.matching import LinkKey


class PortLists(NamedTuple):
    """The rules of a port.

    Attributes:
        by_source: of what the switch sends to the port, by the node that it comes from. What comes from the machine and
            from beyond it has one MAC: its rules are one list, under `host`.
        onward: of what the port's node sends to the machine, where that does not pass a port of the machine's.
    """

    by_source: Mapping[str, Rules]
    onward: Rules


class RuleLists:
    """The rules of all ports."""

    def __init__(self, links: Mapping[LinkKey, int | None], gateways: Gateways, local: frozenset[str]) -> None:
        """`links` has the device of each, in the order of the file; `local` the addresses of the machine."""
        self._gateways = gateways
        self._local = local
        self._rules: defaultdict[tuple[str, str], defaultdict[str, list[Rule]]]
        self._rules = defaultdict(lambda: defaultdict(list))
        for key, device in links.items():
            self._rules[key.destination, key.network][key.source].append(Rule(key.match, device))

    def of(self, port: Port) -> PortLists:
        """Return the rules of a port."""
        if port.node in BUILT_IN:
            host, internet = (self._rules[end, port.network] for end in BUILT_IN)
            nodes = dict.fromkeys((*host, *internet))
            return PortLists({node: self._by_address(host[node], internet[node], onward=True) for node in nodes}, ())
        sources = self._rules[port.node, port.network]
        others = (node for node in sources if node not in (*BUILT_IN, ANY_NODE))
        by_source: dict[str, Rules] = {node: tuple(sources[node]) for node in others}
        if outside := self._by_address(sources[HOST], sources[INTERNET], onward=False):
            by_source[HOST] = outside
        gateway = self._gateways.get(port.network)
        if gateway is None or gateway.is_port:
            return PortLists(by_source, ())
        to_host, to_internet = (self._rules[end, port.network][port.node] for end in BUILT_IN)
        return PortLists(by_source, self._by_address(to_host, to_internet, onward=True))

    def of_line(self, port: Port) -> tuple[Sequence[Rule], Sequence[Rule]]:
        """Return the rules of a port's line: its node's uplink, and its downlink."""
        return self._rules[ANY_NODE, port.network][port.node], self._rules[port.node, port.network][ANY_NODE]

    def _by_address(self, host: Iterable[Rule], internet: Iterable[Rule], *, onward: bool) -> Rules:
        """Return the rules between a node and the machine: packets with an address of the machine are `host`'s.

        Args:
            host: the rules of what is exchanged with the machine.
            internet: those of what is beyond it.
            onward: the packets go there, else they come from there.
        """
        of_host, of_internet = tuple(host), tuple(internet)
        return (Addressed(self._local, onward, of_host), *of_internet) if of_host or of_internet else ()
