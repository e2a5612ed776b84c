"""What happens at given times of a run: events, each resolved to the links that it changes."""

from __future__ import annotations

from dataclasses import dataclass, field

from testbed.decisive import NOT_DECISIVE
from testbed.impairments import Impairments


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkChange:
    """A link that gets other impairments.

    Attributes:
        source, destination, network: which link.
        impairments: all of the new one.
    """

    source: str
    destination: str
    network: str
    impairments: Impairments

    @property
    def ends(self) -> tuple[str, str, str]:
        """Source, destination and network: what tells links apart."""
        return self.source, self.destination, self.network


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happens once in a run.

    Attributes:
        at_ns: when, from when the first workload is under way.
        what: it is, for people to read: `client <-> server: loss 20 %`, `partition client | server`.
        changes: the links that are different from then on; none where it changes nothing.
    """

    at_ns: int
    what: str = field(metadata=NOT_DECISIVE)
    changes: tuple[LinkChange, ...]
