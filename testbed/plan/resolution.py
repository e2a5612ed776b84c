"""Resolution of a topology to a plan: makes every choice that the file leaves open, deterministically."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING, cast

from testbed.expectations import parse
from testbed.families import FAMILIES, IPV4, IPV6, family_of
from testbed.kinds import kinds as all_kinds
from testbed.plan import addresses, placement, routing
from testbed.plan.addresses import Placed
from testbed.plan.forwarding import Forwarding
from testbed.plan.links import resolve_links
from testbed.plan.model import Plan
from testbed.plan.nodes import Group, Host, Interface, Network, Node
from testbed.plan.rebinding import Rebinding
from testbed.plan.workloads import CaptureSettings, Workload
from testbed.seeds import derive, of_name
from testbed.topology import with_chaos
from testbed.topology.link_impairments import link_impairments

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from ipaddress import IPv4Address

    from testbed.families import Address
    from testbed.plan.events import Event
    from testbed.services import Service
    from testbed.topology.models import Topology
    from testbed.topology.workloads import Work, WorkloadKeys

CONGESTION = "net.ipv4.tcp_congestion_control"

SYSCTLS = {"net.ipv4.tcp_no_metrics_save": "1"}
"""What every node has unless the file says otherwise: a TCP connection must not start from what the one before it found
out."""

DEFAULT_CONGESTION = "cubic"
"""Of a workload's connections, which choose it themselves: machines differ in their defaults, and outside the first
network namespace the kernel refuses a default that is not the machine's own or reno (net/ipv4/tcp_cong.c,
`tcp_set_default_congestion_control`)."""

FIRST_PORT = 5001
"""Of the first workload; each has the next."""


def resolve(
    topology: Topology,
    *,
    lab: str | None = None,
    runtime: str | None = None,
    engine: str | None = None,
    seed: int | None = None,
) -> Plan:
    """Return the plan of `topology`. For a machine on which subnets are in use, see `relocate`.

    Args:
        topology: as `testbed.topology.load` returns it, or `discovered` where it `lacks_discovery`.
        lab: the lab's name; the topology's unless given.
        runtime: instead of the file's; a file with hosts has one of its own.
        engine: instead of the file's, on every link.
        seed: instead of the file's.

    Raises:
        MachineError: `no-free-subnet`: the networks do not fit into the pool.
        UsageError: `contradiction`: the file has hosts, and another runtime is asked for.
        ValueError: the topology lacks discovery.
    """
    if topology.lacks_discovery:
        raise ValueError("what runs already must be discovered first")
    lab = lab or topology.name
    seed_given = seed is not None or topology.seed is not None
    if seed is None:
        seed = of_name(topology.name) if topology.seed is None else topology.seed
    topology = with_chaos(topology, seed)
    members = {
        network: [node for node in topology.nodes if network in topology.attachments(node)]
        for network in topology.segments
    }
    placed = {family: _placed(topology, family, lab, members) for family in FAMILIES}
    on = placement.hosts_of_nodes(topology)
    nodes = tuple(_node(topology, name, placed, on.get(name, "")) for name in topology.nodes)
    rebinding = Rebinding(topology, placed[IPV4])
    timeline = _timeline(topology, rebinding)
    links = resolve_links(topology, link_impairments(topology), timeline, seed=seed, engine=engine)
    networks = tuple(_network(topology, name, placed) for name in topology.segments)
    ways = {family: Forwarding(nodes, networks, family) for family in FAMILIES}
    stages = _stages(topology, nodes, ways, seed)
    workloads = [workload for stage in stages for workload in stage]
    kinds = {name: workload.kind for workload in workloads for name in (workload.name, workload.group) if name}
    grouped = {workload.group for workload in workloads}
    return Plan(
        lab=lab,
        topology=topology.name,
        description=topology.description,
        seed=seed,
        seed_given=seed_given,
        runtime=placement.runtime(topology, runtime or topology.runtime),
        networks=networks,
        nodes=nodes,
        links=links,
        stages=stages,
        timeline=timeline,
        expectations=tuple(parse(text, kinds, grouped) for text in topology.expect),
        sockets=tuple(dict.fromkeys(topology.members(*topology.sockets))),
        groups=tuple(Group(name=name, nodes=members) for name, members in topology.groups.items()),
        capture=_capture(topology),
        beyond=_beyond(networks, lab),
        hosts=tuple(Host(name=name, address=address) for name, address in topology.hosts.items()),
        directory=str(topology.directory),
    )


def _timeline(topology: Topology, rebinding: Rebinding) -> tuple[Event, ...]:
    if not topology.timeline:
        return ()
    from testbed.plan.timeline import resolve_timeline  # noqa: PLC0415  # it imports the models of events

    return resolve_timeline(topology, rebinding)


def _beyond(networks: Sequence[Network], lab: str) -> str:
    if all(network.internal for network in networks):
        return ""
    taken = [subnet for network in networks for subnet in network.subnets.values()]
    return str(addresses.beyond(lab=lab, taken=taken))


def _placed(topology: Topology, family: int, lab: str, members: Mapping[str, Sequence[str]]) -> Placed:
    """Choose subnets and addresses of a family; `members` are the nodes on each network."""
    segments = {name: one for name, one in topology.segments.items() if family in topology.families_of(name)}
    given = {name: topology.addresses(name, family) for name in segments}
    fixed = {name: network.fixed_subnet(family, given[name].values()) for name, network in segments.items()}
    subnets = addresses.subnets(
        family,
        {name: (fixed[name], len(members[name])) for name in segments},
        lab=lab,
        taken=(),
        wires=topology.wires,
    )
    hosts = {
        name: addresses.hosts(
            subnet,
            members[name],
            given[name],
            _used(topology, segments[name].present) | topology.later_addresses,
            wire=name in topology.wires,
        )
        for name, subnet in subnets.items()
    }
    return Placed(subnets, hosts, [name for name, subnet in fixed.items() if subnet is None])


def _network(topology: Topology, name: str, placed: Mapping[int, Placed]) -> Network:
    network, is_wire = topology.segments[name], name in topology.wires
    subnets = {family: each.subnets[name] for family, each in placed.items() if name in each.subnets}
    gateways = {family: "" if is_wire else str(subnet[1]) for family, subnet in subnets.items()}
    if network.present:
        gateways[IPV4] = topology.present.networks[network.present].gateway or gateways[IPV4]
    return Network(
        name=name,
        subnet=str(subnets.get(IPV4, "")),
        gateway=gateways.get(IPV4, ""),
        allocated=name in placed[IPV4].allocated,
        internal=network.internal,
        mtu=placement.mtu(topology, network),
        present=network.present or "",
        wire=is_wire,
        subnet6=str(subnets.get(IPV6, "")),
        gateway6=gateways.get(IPV6, ""),
        allocated6=name in placed[IPV6].allocated,
    )


def _interface(topology: Topology, node: str, index: int, network: str, placed: Mapping[int, Placed]) -> Interface:
    attachment = topology.attachments(node)[network]
    own = {family: each.hosts[network][node] for family, each in placed.items() if network in each.hosts}
    lengths = {family: placed[family].subnets[network].prefixlen for family in own}
    return Interface(
        network=network,
        name=_interface_name(topology, node, index),
        address=str(own.get(IPV4, "")),
        prefix_length=lengths.get(IPV4, 0),
        mac=_mac(topology, node, network, next(iter(own.values()))),
        address6=str(own.get(IPV6, "")),
        prefix_length6=lengths.get(IPV6, 0),
        given_mac=attachment.mac or "",
        mtu=attachment.mtu or 0,
    )


def _used(topology: Topology, present: str | None) -> frozenset[IPv4Address]:
    """The addresses of a Docker network that its containers have."""
    return topology.present.networks[present].used if present else frozenset()


def _mac(topology: Topology, node: str, network: str, address: Address) -> str:
    entry, present = topology.nodes[node], topology.segments[network].present
    name = entry.container or entry.namespace
    if name and present:
        return topology.present.mac(name, present, entry.host or "")
    return topology.attachments(node)[network].mac or addresses.mac(address)


def _capture(topology: Topology) -> CaptureSettings:
    asked = topology.capture
    return (
        CaptureSettings(nodes=topology.members(*asked.nodes), snap_bytes=asked.snap_bytes, size_bytes=asked.size_bytes)
        if asked
        else CaptureSettings()
    )


def _node(topology: Topology, name: str, placed: Mapping[int, Placed], host: str) -> Node:
    node = topology.nodes[name]
    return Node(
        name=name,
        interfaces=tuple(
            _interface(topology, name, index, network, placed)
            for index, network in enumerate(topology.attachments(name))
        ),
        image=node.image,
        command=node.command,
        environment={**node.variables, **node.environment},
        cpus_milli=node.cpus_milli or 0,
        memory_bytes=node.memory_bytes or 0,
        sysctls={} if node.is_present else {**SYSCTLS, **routing.sysctls(topology, name), **node.sysctls},
        ready=node.ready.resolved if node.ready else None,
        service=_service(topology, node.service),
        container=node.container or "",
        router=routing.router(topology, name),
        routes=tuple(
            route for family, each in placed.items() for route in routing.routes(topology, name, family, each)
        ),
        namespace=node.namespace or "",
        may_fail=node.may_fail,
        host=host,
    )


def _service(topology: Topology, service: Service) -> Service:
    """Return the service, which depends on all members of a group that the file names."""
    dependencies = (
        replace(dependency, node=node)
        for dependency in service.depends_on
        for node in topology.members(dependency.node)
    )
    return replace(service, depends_on=tuple(dependencies))


def _interface_name(topology: Topology, node: str, index: int) -> str:
    """Return the name of a node's interface; those of wires have names that no container runtime gives."""
    attached = list(topology.attachments(node))
    before = sum(name in topology.wires for name in attached[:index])
    return f"wire{before}" if attached[index] in topology.wires else f"eth{index}"


def _stages(
    topology: Topology, nodes: Sequence[Node], ways: Mapping[int, Forwarding], seed: int
) -> tuple[tuple[Workload, ...], ...]:
    if not topology.workloads:
        return ()
    from testbed.topology.timeline_state import (  # noqa: PLC0415  # it imports the models of events
        longest_ns,
        longest_round_trip,
        packets_of,
    )

    ports, longest = count(FIRST_PORT), longest_ns(topology)
    named = {node.name: node for node in nodes}

    def instances(written: WorkloadKeys | Work) -> Iterator[Workload]:
        for workload in topology.instances(written):
            address = _address(topology, workload, named)
            there, back = ways[family_of(address)].both_ways(workload.source, workload.destination, address)
            waits = workload.waits(longest_round_trip(there, back, packets_of(topology, workload), longest))
            resolved = _workload(workload, named[workload.source], address, next(ports), seed, waits=waits)
            yield resolved if workload is written else replace(resolved, group=written.name)

    return tuple(tuple(workload for written in stage for workload in instances(written)) for stage in topology.stages)


def _address(topology: Topology, workload: WorkloadKeys | Work, nodes: Mapping[str, Node]) -> str:
    """Return the address of a workload's destination, of its family, on the network where its packets arrive."""
    destination, family = nodes[workload.destination], topology.family(workload)
    if workload.source == workload.destination:
        return destination.interfaces[0].addresses[0]
    hops = topology.graphs[family].path(workload.source, workload.destination, workload.network)
    assert hops is not None  # noqa: S101  # the file would not be valid
    return destination.on(workload.network or hops[-1][2]).of_family(family)


def _workload(
    workload: WorkloadKeys | Work,
    source: Node,
    address: str,
    port: int,
    seed: int,
    *,
    waits: Mapping[str, int],
) -> Workload:
    parameters = {**waits, **workload.parameters}
    port = cast("int", parameters.pop("port", port))
    if "congestion" in all_kinds()[workload.kind].parameters:  # else a program's, which has a default of its own
        parameters = {"congestion": source.sysctls.get(CONGESTION, DEFAULT_CONGESTION), **parameters}
    return Workload(
        name=workload.name,
        kind=workload.kind,
        source=workload.source,
        destination=workload.destination,
        address=address,
        port=port,
        seed=derive(seed, f"workload {workload.name}"),
        parameters=parameters,
    )
