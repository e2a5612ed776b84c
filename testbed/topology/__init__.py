"""The topology file: parsing of YAML text to a validated `Topology`, with every error at its line."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from testbed import arguments
from testbed.errors import UsageError
from testbed.named_topologies import named
from testbed.present import Present
from testbed.topology.attaching import attaches, attaches_running, filled
from testbed.topology.document import MOST_BYTES, Document, read
from testbed.topology.error_messages import foreign, located, translate, valueless
from testbed.topology.find import find
from testbed.topology.json_schema import schema
from testbed.topology.models import Topology
from testbed.topology.problems import Problem, TopologyError
from testbed.topology.referenced_files import Files
from testbed.topology.rules import broken_rules
from testbed.topology.rules.parts import Parts
from testbed.topology.settings import Factor, Override, applied, factor_problems, factors_in, parse_factor

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from testbed.topology.base import Fault

__all__ = [
    "Factor",
    "Override",
    "Present",
    "Problem",
    "Topology",
    "TopologyError",
    "build",
    "description",
    "discovered",
    "factors",
    "find",
    "load",
    "loads",
    "loads_document",
    "named",
    "names_project",
    "names_running",
    "parse_factor",
    "place_of",
    "schema",
    "with_chaos",
    "with_timeline",
]


def load(path: Path | str, settings: Iterable[Override] = ()) -> Topology:
    """Load the topology file at `path`, with the values of `settings` in place of its own.

    Raises:
        TopologyError: the file is not valid; it tells all that is wrong.
        UsageError: the file cannot be read.
    """
    path = arguments.path(path, "the topology's path")
    return loads(_text(path), str(path), path.parent, settings)


def names_project(path: Path) -> bool:
    """Return whether the file at `path` has a section `compose`.

    Raises:
        TopologyError: it is no YAML.
        UsageError: the file cannot be read.
    """
    data = read(_text(path), str(path)).data
    return isinstance(data, dict) and "compose" in data


def names_running(path: Path) -> bool:
    """Return whether the file at `path` names a project, container or namespace that runs already.

    Raises:
        TopologyError, UsageError: as `names_project`.
    """
    return attaches_running(read(_text(path), str(path)))


def description(path: Path) -> str:
    """Return the description in the file at `path`, in one line; nothing where there is none.

    Raises:
        TopologyError: it is no YAML.
        UsageError: the file cannot be read.
    """
    data = read(_text(path), str(path)).data
    return " ".join(str(data.get("description") or "").split()) if isinstance(data, dict) else ""


def factors(path: Path) -> tuple[Factor, ...]:
    """Return the factors of the `sweep` in the file at `path`; of an invalid file, those that can be read.

    Raises:
        TopologyError: it is no YAML.
        UsageError: the file cannot be read.
    """
    return factors_in(read(_text(path), str(path)))


def _text(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MOST_BYTES + 1)
    except OSError as error:
        raise UsageError("unreadable-file", f"{path}: {error.strerror or error}", "name a topology file") from None


def loads(text: str | bytes, name: str, directory: Path | None = None, settings: Iterable[Override] = ()) -> Topology:
    """Load a topology from text.

    Args:
        text: YAML; bytes must be UTF-8.
        name: what messages call the file.
        directory: of the files that it names (traces, measured delays); the working directory unless given.
        settings: values that take the place of those in the text.

    Raises:
        TopologyError: the text is not valid; it tells all that is wrong.
    """
    if not isinstance(text, str | bytes):
        raise UsageError("bad-argument", f"the text of a topology is {repr(text)[:80]}", "give YAML, as str or bytes")
    document = applied(read(text, str(name)), settings)
    return loads_document(document, arguments.path(directory or Path(), "directory"))


def build(name: str, *, directory: Path | str = ".", **keys: object) -> Topology:
    """Build a topology in Python, of what a file would have.

    build(
        "mine",
        nodes={"client": {}, "server": {"command": ["python3", "-m", "http.server"]}},
        links=[{"between": ["client", "server"], "delay": "40ms"}],
    )

    Args:
        name: of the topology.
        directory: of the files that it names.
        keys: the sections of a file, with dicts, lists, text, numbers and booleans; paths may be `Path`.

    Raises:
        TopologyError: it is not valid; it tells all that is wrong, with places such as `links[0].between[1]`.
        UsageError: `bad-argument`: a value is of a type that a file can't have.
    """
    try:
        text = json.dumps({"name": name, **keys}, default=os.fspath, allow_nan=False, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError) as error:
        hint = "give what a file has: dicts, lists, text, numbers, booleans"
        raise UsageError("bad-argument", f"topology {name!r}: {error}", hint) from None
    try:
        return loads(text, f"topology {name}", arguments.path(directory, "directory"))  # JSON is YAML
    except TopologyError as error:
        raise TopologyError(replace(problem, line=0, column=0) for problem in error.problems) from None


def loads_document(document: Document, directory: Path = Path()) -> Topology:
    """Load a topology from data that was read already; see `loads`.

    Raises:
        TopologyError: it is not valid; it tells all that is wrong.
    """
    return _validated(document, directory, None)


def discovered(topology: Topology, present: Present) -> Topology:
    """Return a topology with what runs already filled in: its nodes, their networks and addresses.

    Args:
        topology: one that `lacks_discovery`.
        present: what a runtime has discovered.

    Raises:
        TopologyError: what the topology names is not there, or is otherwise than it needs; it tells all that is wrong.
    """
    document, faults = filled(topology.document, present)
    if faults:
        raise TopologyError(located(fault, topology.document) for fault in faults)
    return _validated(document, topology.directory, present)


def place_of(topology: Topology, path: tuple[str, ...]) -> str:
    """Return where in which file a part of a topology is, or what contains it: `lab.yml:3:5`."""
    problem = topology.document.problem(path, "", "")
    return f"{problem.file}:{problem.line}:{problem.column}"


def with_chaos(topology: Topology, seed: int) -> Topology:
    """Return a topology whose timeline has the faults that its chaos draws from a seed; without chaos, the same one."""
    if topology.chaos is None:
        return topology
    from testbed.topology.chaos_drawing import drawn  # noqa: PLC0415  # see OnDemand

    return with_timeline(topology, drawn(topology, seed))


def with_timeline(topology: Topology, entries: Iterable[Mapping[str, object]]) -> Topology:
    """Return a topology with another timeline, and without chaos.

    Args:
        topology: as it was read.
        entries: the timeline, as a file has it.

    Raises:
        TopologyError: the timeline is not valid.
    """
    from testbed.topology.yaml_text import dumped  # noqa: PLC0415  # seldom needed

    data: Any = topology.document.data
    data = {name: value for name, value in data.items() if name != "chaos"}
    document = read("\n".join(dumped({**data, "timeline": [*entries]})), topology.document.name)
    return _validated(document, topology.directory, None if topology.lacks_discovery else topology.present)


def _validated(document: Document, directory: Path, present: Present | None) -> Topology:
    if problems := [*foreign(document)]:
        raise TopologyError(problems)
    files, is_filled = Files(directory), present is not None
    problems = [*document.problems, *valueless(document)]
    known = {(problem.line, problem.column) for problem in problems}
    topology = None
    try:
        topology = Topology.model_validate(document.data, context=files)
    except ValidationError as error:
        problems += [problem for problem in translate(error, document) if (problem.line, problem.column) not in known]
    problems += [located(fault, document) for fault in broken_rules(Parts(document, files.models), is_filled=is_filled)]
    problems += [problem for factor in factors_in(document) for problem in factor_problems(factor, document)]
    is_whole = is_filled or not attaches(document)
    if topology:
        topology.keep(document, present)
    if topology and is_whole and not problems:  # what an event makes of a link depends on all that is before it
        problems += [located(fault, document) for fault in _faults_in_time(topology)]
    if problems or topology is None:
        raise TopologyError(problems)
    return topology


def _faults_in_time(topology: Topology) -> Iterator[Fault]:
    """Yield what is wrong with the timeline, the chaos and the workloads of a file that is otherwise valid."""
    if topology.timeline:
        from testbed.topology.timeline_faults import timeline_faults  # noqa: PLC0415  # see OnDemand

        yield from timeline_faults(topology)
    if topology.workloads:
        from testbed.topology.timeline_state import workload_faults  # noqa: PLC0415  # see OnDemand

        yield from workload_faults(topology)
    if topology.chaos:
        from testbed.topology.chaos_drawing import chaos_faults  # noqa: PLC0415  # see OnDemand

        yield from chaos_faults(topology)
