"""What the links of a workload's path were asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from testbed.plan.model import Plan, Workload


def one_way_ns(plan: Plan, workload: Workload, sender: str, receiver: str) -> int:
    """The delay from one node to another on the network that the workload uses."""
    return _delay_ns(plan, workload, (sender, receiver))


def round_trip_ns(plan: Plan, workload: Workload) -> int:
    """The delay of both ways between the workload's nodes."""
    there = workload.source, workload.destination
    return _delay_ns(plan, workload, there, there[::-1])


def _delay_ns(plan: Plan, workload: Workload, *ways: tuple[str, str]) -> int:
    destination = plan.node(workload.destination)
    network = next((each.network for each in destination.interfaces if each.address == workload.address), None)
    return sum(link.shape.delay_ns for link in plan.links if link.ends in {(*way, network) for way in ways})
