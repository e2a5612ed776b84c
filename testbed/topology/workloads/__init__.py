"""Traffic of the topology file: one model per kind, from the kind's `keys`.

Beyond the keys that all kinds share, a field is a parameter of the kind, under the name that the plan has for it.
"""

from collections.abc import Mapping
from functools import reduce
from operator import or_
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Discriminator, Field, Tag

from testbed.kinds import kinds
from testbed.topology.base import Model, Recorded, key
from testbed.topology.workloads.base import NodeWork, Parameter, Work, WorkloadEnds, WorkloadKeys

__all__ = ["KINDS", "AnyWorkload", "Entry", "NodeWork", "Parameter", "Together", "Work", "WorkloadEnds", "WorkloadKeys"]

KINDS: Mapping[str, type[WorkloadKeys | Work]] = MappingProxyType(
    {name: kind.keys_model for name, kind in kinds().items()}
)
"""The model of every kind by its name in the file."""


def _kind_tag(value: object) -> str | None:
    """Which model a workload is for; in brackets, so that no key of a file looks like it."""
    kind = value.get("kind") if isinstance(value, dict) else None
    return f"<{kind}>" if isinstance(kind, str) else None


if TYPE_CHECKING:
    AnyWorkload = WorkloadKeys | Work
else:
    _TAGGED: list[Any] = [Annotated[model, Tag(f"<{kind}>")] for kind, model in KINDS.items()]
    AnyWorkload = Annotated[reduce(or_, _TAGGED), Discriminator(_kind_tag), Recorded()]


class Together(Model):
    """Workloads that run at the same time."""

    together: Annotated[tuple[AnyWorkload, ...], Field(min_length=1)] = key(
        "Workloads that run at the same time",
        example=[
            {"name": "voice", "kind": "udp-stream", "from": "client", "to": "server", "rate": "64kbit"},
            {"name": "upload", "kind": "tcp-stream", "from": "client", "to": "server"},
        ],
    )


def _entry_tag(value: object) -> str:
    return "<together>" if isinstance(value, dict) and "together" in value else "<one>"


Entry = Annotated[
    Annotated[AnyWorkload, Tag("<one>")] | Annotated[Together, Tag("<together>")], Discriminator(_entry_tag)
]
"""An entry of `workloads`."""
