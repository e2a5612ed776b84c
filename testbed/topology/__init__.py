"""The topology file: YAML text to a validated `Topology`, with every fault at its line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import ValidationError

from testbed.errors import UsageError
from testbed.topology.check import check
from testbed.topology.document import MOST_BYTES, Document, read
from testbed.topology.find import find
from testbed.topology.json_schema import schema
from testbed.topology.messages import show, translate
from testbed.topology.models import Topology
from testbed.topology.problems import Problem, TopologyError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["Problem", "Topology", "TopologyError", "find", "load", "loads", "schema"]


def load(path: Path) -> Topology:
    """The topology in the file at `path`.

    Raises:
        TopologyError: the file is not valid; it tells all that is wrong.
        UsageError: the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            text = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise UsageError("unreadable-file", f"{path}: {error.strerror or error}", "name a topology file") from None
    return loads(text, str(path))


def loads(text: str | bytes, name: str) -> Topology:
    """The topology in `text`.

    Args:
        text: YAML; bytes must be UTF-8.
        name: what messages call the file.

    Raises:
        TopologyError: the text is not valid; it tells all that is wrong.
    """
    document = read(text, name)
    problems = [*document.problems, *_empty(document)]
    told = {(problem.line, problem.column) for problem in problems}
    topology = None
    try:
        topology = Topology.model_validate(document.data)
    except ValidationError as error:
        problems += [one for one in translate(error, document) if (one.line, one.column) not in told]
    problems += check(document)
    if problems or topology is None:
        raise TopologyError(problems)
    return topology


_ENTRIES = {("networks", "*"), ("nodes", "*"), ("nodes", "*", "networks", "*")}
"""Where a key without a value stands for defaults."""


def _empty(document: Document) -> Iterator[Problem]:
    """Keys without a value that need one."""
    for path, place in document.places.items():
        value = document.data
        for part in path:
            value = value[part]  # type: ignore[index]
        pattern = tuple("*" if depth % 2 else part for depth, part in enumerate(path))
        if value is None and path and pattern not in _ENTRIES:
            hint = "give it one, or leave it out"
            yield Problem(document.name, *place.value, "no-value", f"{show(path)} has no value", hint)
