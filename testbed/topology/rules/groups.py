"""Groups of nodes make names that are free."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed.topology.base import Fault
from testbed.topology.problems import quote
from testbed.topology.values import LONGEST_NAME

if TYPE_CHECKING:
    from collections.abc import Iterator

    from testbed.topology.rules.parts import Parts


def names(parts: Parts) -> Iterator[Fault]:
    """The names of a group's members are names, and no other node or group has them."""
    owners: dict[str, tuple[str, ...]] = {name: ("nodes", name) for name in parts.nodes}
    for group, members in parts.counted.items():
        path = ("nodes", group, "count")
        if len(members[-1]) > LONGEST_NAME:
            said = f"makes {quote(members[-1])}, and names have at most {LONGEST_NAME} characters"
            yield Fault(path, "name-too-long", said, "give the group a shorter name")
        taken = next((member for member in members if member in owners), None)
        if taken is not None:
            line = parts.line(owners[taken])
            said = f"makes {quote(members[0])} to {quote(members[-1])}, and {quote(taken)} is there at line {line}"
            yield Fault(path, "duplicate-name", said, "rename one of them")
        owners.update(dict.fromkeys(members, path))
