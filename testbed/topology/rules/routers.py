"""Wires have names of their own, routers have several networks, and static routes lead somewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed.families import IPV4
from testbed.nat import ADDRESS_AND_PORT, KINDS, SYMMETRIC
from testbed.topology.base import Fault
from testbed.topology.error_messages import show
from testbed.topology.problems import nearest, quote
from testbed.topology.routers import DEFAULT, NatKeys, as_address, as_subnet
from testbed.topology.rules.addressing import of_family

if TYPE_CHECKING:
    from collections.abc import Iterator

    from testbed.families import Subnet
    from testbed.topology.document import Path
    from testbed.topology.routers import FirewallKeys, StaticRoute
    from testbed.topology.rules.parts import Parts

_TWO = 2


def wires(parts: Parts) -> Iterator[Fault]:
    """No wire has the name of a network, or of another wire; both its nodes are made with the lab."""
    seen: dict[str, str] = dict.fromkeys(parts.networks, "a network")
    for path, wire in parts.wires.items():
        for index, name in enumerate(wire.wire):
            if name in parts.groups:
                said = f"is {quote(name)}, a group of nodes, and a wire connects two nodes"
                yield Fault((*path, "wire", index), "wire-to-group", said, f"name a member: {parts.groups[name][0]}")
            node = parts.nodes.get(name)
            if node is not None and node.container is not None:
                said = f"is {quote(name)}, a container that runs already, which is taken as it is"
                yield Fault((*path, "wire", index), "contradiction", said, "connect nodes that the lab makes")
        name, at = wire.network, (*path, "name") if wire.name else path
        if name in seen:
            said = f"is {quote(name)}" if wire.name else f"is the wire {quote(name)}"
            yield Fault(at, "duplicate-name", f"{said}, as is {seen[name]}", "give one of them another name: name: ...")
        seen.setdefault(name, f"{show(path)} at line {parts.line(path)}")


def routers(parts: Parts) -> Iterator[Fault]:
    """A router has at least two networks to forward between."""
    for written, node in parts.nodes.items():
        members = parts.members(written) if node is not None and node.router else ()
        name = next((name for name in members if len(parts.on[name]) < _TWO), None)
        if name is not None:
            networks = ", ".join(parts.on[name])
            said = f"forwards between networks, and {quote(name)} is on {networks + ' only' if networks else 'none'}"
            path = ("nodes", written, "router")
            yield Fault(path, "router-with-one-network", said, "give it a wire or a second network")


def sides(parts: Parts) -> Iterator[Fault]:
    """What is inside of a NAT or a firewall are networks of the router, and it has others, which are outside."""
    for name, node in parts.nodes.items():
        router = node.router if node is not None else None
        if router is None or name not in parts.on:
            continue
        own = parts.on[name]
        for key, what in (("nat", router.nat), ("firewall", router.firewall)):
            if what is None:
                continue
            if isinstance(what, NatKeys) and what.hairpin and what.kind == SYMMETRIC:
                said = "is true, but a symmetric NAT lets in only answers, also from nodes inside"
                hint = "leave it out, or take another kind"
                yield Fault(("nodes", name, "router", key, "hairpin"), "contradiction", said, hint)
            path: Path = ("nodes", name, "router", key, "inside")
            yield from _inside(parts, path, name, what)
            if own and not own.keys() - set(what.inside):
                said = f"has all networks of {quote(name)}, so that nothing is outside"
                hint = "leave out the one that leads to the others, or give the router a wire or a network to them"
                yield Fault(path, f"{key}-without-outside", said, hint)


def _inside(parts: Parts, path: Path, router: str, what: NatKeys | FirewallKeys) -> Iterator[Fault]:
    """The networks inside are the router's, each once; those inside of a NAT have IPv4."""
    own = parts.on[router]
    for index, network in enumerate(what.inside):
        if network not in own:
            said = f"is {quote(network)}, which {quote(router)} is not on"
            hint = nearest(network, own, f"networks of {router}")
            yield Fault((*path, index), "unknown-network", said, hint)
        elif network in what.inside[:index]:
            yield Fault((*path, index), "duplicate-network", f"is {quote(network)} a second time", "keep one")
        elif isinstance(what, NatKeys) and IPV4 not in parts.families_of(network):
            said = f"is {quote(network)}, which has IPv6 only, and NAT translates IPv4 addresses only"
            hint = "leave it out: a firewall keeps packets out of it as well; or give it IPv4, too: ip: both"
            yield Fault((*path, index), "nat-without-ipv4", said, hint)


def forwards(parts: Parts) -> Iterator[Fault]:
    """A NAT forwards a port outside once, to a node on a network inside."""
    for name, node in parts.nodes.items():
        nat = node.router.nat if node is not None and node.router else None
        if nat is None:
            continue
        within = [each for each in parts.each if each != name and parts.on.get(each, {}).keys() & {*nat.inside}]
        seen = set()
        for index, forward in enumerate(nat.forward):
            path: Path = ("nodes", name, "router", "nat", "forward", index)
            if forward.node not in within:
                known = "is on no network inside" if forward.node in parts.each else "is not a node"
                hint = nearest(forward.node, within, "nodes inside")
                yield Fault(path, "unknown-node", f"leads to {quote(forward.node)}, which {known}", hint)
            if (place := (forward.port, forward.protocol)) in seen:
                said = f"forwards port {forward.port}/{forward.protocol} a second time"
                yield Fault(path, "duplicate-port", said, "keep one of them")
            seen.add(place)


def gates(parts: Parts) -> Iterator[Fault]:
    """A firewall does not keep out what the NAT beside it is to let in."""
    for name, node in parts.nodes.items():
        router = node.router if node is not None else None
        if router is None or router.nat is None or router.firewall is None:
            continue
        kind = router.nat.kind
        if KINDS[kind].filtering != ADDRESS_AND_PORT and set(router.nat.inside) & set(router.firewall.inside):
            said = f"lets in answers only, and the {kind} NAT beside it is to let in other packets too"
            hint = "leave the firewall out, or take the kind port-restricted"
            yield Fault(("nodes", name, "router", "firewall"), "contradiction", said, hint)


def routes(parts: Parts) -> Iterator[Fault]:
    """The destination of a static route exists, its next hop can be reached, and a node has one route to each."""
    for name, node in parts.nodes.items():
        if node is None or name not in parts.on:
            continue
        seen: set[str] = set()
        for index, route in enumerate(node.routes):
            path: Path = ("nodes", name, "routes", index)
            yield from _target(parts, (*path, "to"), route)
            yield from _next_hop(parts, (*path, "via"), name, route)
            if route.to in seen:
                yield Fault((*path, "to"), "duplicate-route", f"is {quote(route.to)} a second time", "keep one of them")
            seen.add(route.to)


def _target(parts: Parts, path: Path, route: StaticRoute) -> Iterator[Fault]:
    names = [*parts.networks, *(wire.network for wire in parts.wires.values())]
    if route.to != DEFAULT and as_subnet(route.to) is None and route.to not in names:
        said = f"is {quote(route.to)}, which is neither {DEFAULT}, nor a network, nor a subnet"
        yield Fault(path, "unknown-network", said, nearest(route.to, [DEFAULT, *names], "destinations"))


def _next_hop(parts: Parts, path: Path, name: str, route: StaticRoute) -> Iterator[Fault]:
    own = parts.on[name]
    if (address := as_address(route.via)) is not None:
        if not any(address in subnet for network in own for subnet in subnets(parts, network)):
            said = f"is {address}, which is in no subnet that the file gives to a network of {quote(name)}"
            yield Fault(path, "unreachable-next-hop", said, "name the next node, or give the network its subnet")
        return
    neighbours = [node for node in parts.each if node != name and any(each in own for each in parts.on[node])]
    if route.via not in neighbours:
        known = "shares no network with it" if route.via in parts.each else "is not a node"
        said = f"is {quote(route.via)}, which {known}"
        yield Fault(path, "unreachable-next-hop", said, nearest(route.via, neighbours, f"neighbours of {name}"))


def subnets(parts: Parts, network: str) -> Iterator[Subnet]:
    """The subnets of a network, where the file decides them."""
    for wire in parts.wires.values():
        if wire.network == network:
            yield from wire.subnets
    if found := parts.networks.get(network):
        for family in parts.families_of(network):
            asked = (of_family(on.get(network, ()), family) for on in parts.on.values())
            if subnet := found.fixed_subnet(family, [address for address in asked if address]):
                yield subnet
