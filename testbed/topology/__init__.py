"""The topology file: YAML text to a validated `Topology`, with every fault at its line."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from testbed.errors import UsageError
from testbed.topology.check import check
from testbed.topology.document import MOST_BYTES, read
from testbed.topology.files import Files
from testbed.topology.find import find
from testbed.topology.json_schema import schema
from testbed.topology.messages import translate, valueless
from testbed.topology.models import Topology
from testbed.topology.problems import Problem, TopologyError

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
    return loads(text, str(path), path.parent)


def loads(text: str | bytes, name: str, directory: Path | None = None) -> Topology:
    """The topology in `text`.

    Args:
        text: YAML; bytes must be UTF-8.
        name: what messages call the file.
        directory: of the files that it names (traces, measured delays); the working directory unless given.

    Raises:
        TopologyError: the text is not valid; it tells all that is wrong.
    """
    document = read(text, name)
    files = Files(directory or Path())
    problems = [*document.problems, *valueless(document)]
    told = {(problem.line, problem.column) for problem in problems}
    topology = None
    try:
        topology = Topology.model_validate(document.data, context=files)
    except ValidationError as error:
        problems += [one for one in translate(error, document) if (one.line, one.column) not in told]
    problems += check(document, files)
    if problems or topology is None:
        raise TopologyError(problems)
    return topology
