"""What identifies a link."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping

    from testbed.matching.match import Match


Value = TypeVar("Value")


class LinkKey(NamedTuple):
    """What identifies a link.

    Attributes:
        source, destination: names of nodes.
        network: that both are on.
        match: the packets that it is for; None for all that no other link between the two is for.
    """

    source: str
    destination: str
    network: str
    match: Match | None = None

    @property
    def plain(self) -> LinkKey:
        """The link of the packets that no match selects, in the same direction."""
        return self._replace(match=None)

    @property
    def back(self) -> LinkKey:
        """The link in the other direction that is for the packets that the same match selects there."""
        return self._replace(source=self.destination, destination=self.source)

    def with_end(self, end: str, other: str) -> LinkKey:
        """Return the same link with the node `other` in the place of `end`, one of its ends."""
        source, destination = (other if name == end else name for name in (self.source, self.destination))
        return self._replace(source=source, destination=destination)

    @property
    def name(self) -> str:
        """The link's name in messages and results: `client -> server (udp port 53)`."""
        return f"{self.source} -> {self.destination}" + (f" ({self.match})" if self.match else "")

    def __str__(self) -> str:
        return f"{self.name} on {self.network}"


def by_direction(values: Mapping[LinkKey, Value]) -> dict[LinkKey, dict[Match | None, Value]]:
    """Return values of links by their direction (a key without a match), then by their match, in their order."""
    found: dict[LinkKey, dict[Match | None, Value]] = {}
    for key, value in values.items():
        found.setdefault(key.plain, {})[key.match] = value
    return found
