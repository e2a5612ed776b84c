"""What the agents of several machines say of themselves, as if one agent did."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from testbed.agent import messages

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from testbed.agent.messages import AgentStatus, AttachmentReport


def merged_status(found: Mapping[str, AgentStatus]) -> AgentStatus:
    """Return the states of several agents, by machine, as one."""
    first, *others = found.values()
    every = (first, *others)
    is_up = all(each.is_up for each in every)
    return messages.AgentStatus(
        version=first.version,
        lab=first.lab,
        pid=first.pid,
        plan_version=first.plan_version if is_up else None,
        containers={},
        dead_links={link: how for each in every for link, how in each.dead_links.items()},
        nodes={node: how for each in every for node, how in each.nodes.items()},
        pauses={node: count for each in every for node, count in each.pauses.items()},
        members=tuple(member for each in every for member in each.members),
        left=tuple(node for each in every for node in each.left),
        held={node: how for each in every for node, how in each.held.items()},
        paused_by_faults=tuple(node for each in every for node in each.paused_by_faults),
    )


def merged_attachments(reports: Iterable[AttachmentReport]) -> AttachmentReport:
    """Return the reports of several agents as one; incidents are numbered in the order in which they happened."""
    every = list(reports)
    incidents = sorted((each for report in every for each in report.incidents), key=lambda each: each.at_ns)
    happened = sum(max((each.number for each in report.incidents), default=0) for report in every)
    return messages.AttachmentReport(
        problems=tuple(problem for report in every for problem in report.problems),
        notes=tuple(note for report in every for note in report.notes),
        incidents=tuple(
            msgspec.structs.replace(each, number=number)
            for number, each in enumerate(incidents, happened - len(incidents) + 1)
        ),
        unknown_dropped={port: count for report in every for port, count in report.unknown_dropped.items()},
    )
