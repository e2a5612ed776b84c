"""Faults of nodes that a user brings about while a lab is up, in the words of the timeline."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

from pydantic import ValidationError

from testbed.errors import UsageError
from testbed.families import is_address
from testbed.faults import NameLies
from testbed.plan.changes import as_document
from testbed.plan.events import Event
from testbed.topology.error_messages import translate
from testbed.topology.node_events import NODE_EVENTS
from testbed.topology.steps import of_nodes

if TYPE_CHECKING:
    from testbed.plan.model import Plan


def read_fault(plan: Plan, node: str, kind: str, value: object, lasting: str | None = None) -> tuple[Event, ...]:
    """Return the events of one fault of a node, or of each member of a group: one, or two if it ends by itself.

    Args:
        plan: of the lab.
        node: the name.
        kind: a key of the timeline's events: `pause`.
        value: of that key, as in a topology file: `True`, `"3s"`.
        lasting: the value of `for` beside it, if there is one.

    Raises:
        UsageError: `unknown-node`; `unknown-fault`; the value is wrong.
    """
    if kind not in NODE_EVENTS:
        close = get_close_matches(kind, NODE_EVENTS, 1)
        hint = f"did you mean {close[0]}?" if close else f"faults are: {', '.join(NODE_EVENTS)}"
        raise UsageError("unknown-fault", f"there is no fault {kind!r}", hint)
    nodes = plan.members(node)
    document = as_document({"at": "0s", "node": node, kind: value} | ({} if lasting is None else {"for": lasting}))
    try:
        event = NODE_EVENTS[kind].model_validate(document.data)
    except ValidationError as error:
        first = min(translate(error, document, NODE_EVENTS[kind]))
        raise UsageError(first.code, first.message, first.hint or None) from None
    happenings = [*of_nodes(event, nodes)]
    for fault in (fault for _, _, happening in happenings for fault in happening.faults):
        if isinstance(fault, NameLies):
            for answer in fault.answers:
                if not is_address(answer):
                    plan.known(answer)
    return tuple(
        Event(at_ns=offset_ns, what=str(happening), changes=(), faults=happening.faults)
        for _, offset_ns, happening in happenings
    )
