"""A plan as tables for people."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from testbed import units
from testbed.check import paths_of
from testbed.cli.console import make_console
from testbed.families import IPV6
from testbed.plan.forwarding import installed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from rich.console import RenderableType

    from testbed.check.paths import Path
    from testbed.plan.model import Plan
    from testbed.plan.nodes import Node


def show(plan: Plan) -> None:
    """Print a plan."""
    console = make_console()
    for part in _parts(plan):
        console.print(part)
        console.print()


def _parts(plan: Plan) -> Iterator[RenderableType]:
    """Yield the head, nodes, links, workloads, timeline and expectations of a plan."""
    yield Text.assemble((plan.topology, "bold"), f"   {plan.description}")
    yield Text(f"lab {plan.lab}   runtime {plan.runtime}   seed {plan.seed}   digest {plan.digest[:12]}")
    nodes = _table("node", "network", "address", "mac", "image", "command")
    for node in plan.nodes:
        rows = [
            (interface.network, address, interface.mac)
            for interface in node.interfaces
            for address in interface.in_cidr_form
        ]
        for number, row in enumerate(rows):
            first = number == 0
            made_of, command = (_made_of(node), shlex.join(node.command)) if first else ("", "")
            nodes.add_row(node.name if first else "", *row, made_of, Text(command))
    yield nodes
    if plan.hosts:
        yield from _machines(plan)
    yield from _services(plan)
    if any(node.routes for node in plan.nodes):
        yield _routes(plan)
    if plan.links:
        profiles = any(link.profile for link in plan.links)
        links = _table("link", "network", "impairments", *(["profile"] if profiles else []), "engine")
        for link in plan.links:
            profile = [link.profile or ""] if profiles else []
            links.add_row(link.name, link.network, link.impairments.describe(), *profile, link.engine)
        yield links
    yield from _runs(plan)


def _machines(plan: Plan) -> Iterator[RenderableType]:
    """Yield which node is on which machine, and what connects machines."""
    machines = _table("machine", "nodes")
    for host in plan.hosts:
        machines.add_row(host.name, ", ".join(node.name for node in plan.nodes if node.host == host.name))
    yield machines
    between = _table("between machines", "packets of at most", "machines")
    for network in plan.networks:
        nodes = (node for node in plan.nodes if any(at.network == network.name for at in node.interfaces))
        names = dict.fromkeys(node.host for node in nodes)
        if len(names) > 1:
            kind = "wire" if network.wire else "network"
            between.add_row(f"{kind} {network.name}", f"{network.mtu} B", ", ".join(names))
    if between.row_count:
        yield between
        yield Text("What a packet takes between machines is added to the delay of links between them.")


def _runs(plan: Plan) -> Iterator[RenderableType]:
    """Workloads, their paths, the timeline and expectations of a plan."""
    if plan.stages:
        yield _workloads(plan)
    if paths := paths_of(plan, plan.links):
        yield _paths(plan, paths)
    if plan.timeline:
        yield _timeline(plan)
    if plan.expectations:
        expectations = _table("expect")
        for expectation in plan.expectations:
            expectations.add_row(str(expectation))
        yield expectations


def _services(plan: Plan) -> Iterator[Table]:
    """Yield a table of what the nodes have beside that; none if no node has any."""
    services = _table("service", "key", "value")
    for node in plan.nodes:
        name = node.name
        ready = [("ready", f"{node.ready}, within {node.ready.timeout}")] if node.ready else []
        for key, value in [*node.service.described(), *ready]:
            services.add_row(name, key, Text(value))
            name = ""
    if services.row_count:
        yield services


def _made_of(node: Node) -> str:
    if node.container:
        return f"container {node.container}"
    if node.namespace:
        return f"namespace {node.namespace}"
    return node.image or ("built" if node.service.build else "testbed")


def _workloads(plan: Plan) -> Table:
    workloads = _table("workload", "kind", "from", "to", "parameters")
    for number, stage in enumerate(plan.stages):
        for workload in stage:
            mark = " +" if len(stage) > 1 else ""
            workloads.add_row(
                f"{number + 1}{mark} {workload.name}",
                workload.kind,
                workload.source,
                workload.destination,
                Text(_parameters(workload.parameters)),
            )
    return workloads


def _routes(plan: Plan) -> Table:
    """One line per next hop of a node, with all destinations that it leads to."""
    routes = _table("node", "routes to", "by way of", "on")
    for node in plan.nodes:
        name = node.name
        for route in node.routes:
            left = "" if route in installed(node) else " (left to its daemon)"
            given = " (from the file)" if route.static else ""
            family = " (IPv6)" if route.family == IPV6 else ""
            routes.add_row(name, f"{', '.join(route.to)}{family}{given}{left}", route.via, route.network)
            name = ""
    return routes


def _paths(plan: Plan, paths: Sequence[Path]) -> Table:
    """The ways of workloads over several links, with what these do together."""
    finding = {node.name for node in plan.nodes if node.router and node.router.routing == "none"}
    table = _table("path", "hops", "links together")
    for path in paths:
        ends = path.link.source, *path.nodes, path.link.destination
        packets = f" ({path.link.match})" if path.link.match else ""
        daemons = ", ".join(name for name in path.nodes if name in finding)
        found = f" (if {daemons} find it)" if daemons else ""
        hops = str(len(path.nodes) + 1)
        table.add_row(f"{' -> '.join(ends)}{packets}{found}", hops, path.skipped or path.link.impairments.describe())
    return table


def _timeline(plan: Plan) -> Table:
    timeline = _table("at", "event", "link", "impairments from then on")
    for event in plan.timeline:
        at, what = units.DURATION.format(event.at_ns), event.what
        if not event.changes:
            timeline.add_row(at, what, "", "" if event.rebinds or event.addresses else "nothing changes")
        for change in event.changes:
            timeline.add_row(at, what, change.key.name, change.impairments.describe())
            at = what = ""
    return timeline


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _parameters(parameters: Mapping[str, int | str | bool | tuple[str, ...]]) -> str:
    """Return parameters with units, like in a file; the ending of a name has the unit."""
    formats = {"_ns": units.DURATION, "_bps": units.RATE, "_bytes": units.SIZE}
    shown = []
    for name, value in parameters.items():
        for ending, form in formats.items():
            if name.endswith(ending) and isinstance(value, int):
                shown.append(f"{name.removesuffix(ending)} {form.format(value)}")
                break
        else:
            shown.append(f"{name} {shlex.join(value) if isinstance(value, tuple) else value}")
    return ", ".join(shown)
