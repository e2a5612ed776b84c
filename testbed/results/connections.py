"""What is known of a node's TCP connections that were sampled during a run, whoever's they were."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class Connections:
    """The TCP connections of a node during a run.

    Attributes:
        node: its name.
        file: with the samples, as seen from the run's directory. Each line is an object with `event`, which is
            `tcp-info`, the `node`, the `connection` (`198.18.0.2:80 198.18.0.3:40000`, the node's end first), its
            `process` and `congestion`, and columns coded as `testbed.endpoint.columns` does: `at_ns`, the queues of
            the socket, and what `testbed.tcp_info` says of it.
        connections: how many there were.
        samples: how often the node was looked at.
    """

    node: str
    file: str
    connections: int
    samples: int

    def to_json(self) -> dict[str, Any]:
        """As a JSON object; `from_json` is the way back."""
        return {one.name: getattr(self, one.name) for one in fields(self)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """What `to_json` made `data` from.

        Raises:
            TypeError: it is none.
        """
        return cls(**data)
