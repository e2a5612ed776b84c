"""The key `capture`: packets captured during a run."""

from typing import Annotated

from pydantic import Field

from testbed.agent.capture import SIZE_BYTES, SNAP_BYTES
from testbed.topology.base import Model, Short, key
from testbed.topology.values import CaptureSize, Name, SnapSize, schema_of

Nodes = Annotated[tuple[Name, ...], Field(min_length=1)]


class CaptureKeys(Model):
    """Packets captured at nodes during a run."""

    nodes: Nodes = key("The nodes where packets are captured, on each of their networks", example=["client"])
    snap_bytes: SnapSize = key("What is kept of a packet", alias="snap", default=SNAP_BYTES, written="256B")
    size_bytes: CaptureSize = key(
        "What the packets of a port may take; the newest are kept", alias="size", default=SIZE_BYTES, written="64MB"
    )


CaptureValue = Annotated[CaptureKeys, Short("nodes", {"type": "array", "items": schema_of(Name), "minItems": 1})]
