"""What all faults of nodes have in common."""

from __future__ import annotations

from testbed.codec import Variant


class NodeFault(Variant, frozen=True, kw_only=True):
    """Base of the faults of a node.

    Attributes:
        node: its name.
    """

    node: str

    def __str__(self) -> str:
        return f"{self.node}: {self.kind}"
