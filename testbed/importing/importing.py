"""An import from beginning to end: read, recognise, translate, validate, write."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from testbed.errors import UsageError
from testbed.importing import compose, containerlab
from testbed.importing.interpolation import MissingVariableError, Use, interpolated
from testbed.importing.source import DECIDE, LEFT_OUT, Source, with_merges, with_texts
from testbed.plan import resolve
from testbed.topology import TopologyError, env_files, loads, loads_document
from testbed.topology.document import MOST_BYTES, read
from testbed.topology.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path as FilePath

    from testbed.importing.draft import Draft
    from testbed.importing.source import Note
    from testbed.topology.document import Document, Path

_ESSENTIAL = ("image", "build", "command", "entrypoint", "count")
"""Keys without which a node would be another: if their values are not valid, there is no import."""


_REMOVABLE = 3
"""Parts of the path of a value that can be left out: a key of a node or network, or deeper."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """A topology made of another tool's file.

    Attributes:
        text: of the topology file.
        notes: what has no counterpart, is not quite the same, or is to be decided, in the order of the imported file.
    """

    text: str
    notes: tuple[Problem, ...]


def imported(file: FilePath, directory: FilePath) -> Imported:
    """Import a compose or containerlab file.

    Args:
        file: to be imported.
        directory: that the topology file is for, to which its paths are relative.

    Raises:
        UsageError: the file can't be read.
        TopologyError: it is not valid, or not of these formats; it tells all that is wrong.
    """
    try:
        with file.open("rb") as stream:
            content = stream.read(MOST_BYTES + 1)
    except OSError as error:
        raise UsageError("unreadable-file", f"{file}: {error.strerror or error}", "name a file to import") from None
    document = read(content, str(file))
    if document.problems:
        raise TopologyError(document.problems)
    source = Source(document=with_merges(document))
    translator = _translator(source)
    is_compose = translator is compose.translated
    _interpolate(source, _variables(source, file.parent) if is_compose else os.environ)
    if source.errors:
        raise TopologyError(source.errors)
    draft = translator(source, file.parent, directory)
    if source.errors:
        raise TopologyError(source.errors)
    _validate(source, draft, directory)
    text = _text(source, draft, file.name)
    loads(text, str(file), directory)
    order = sorted(source.notes, key=source.problem)
    return Imported(text=text, notes=tuple(source.problem(note) for note in order))


def _translator(source: Source) -> Callable[[Source, FilePath, FilePath], Draft]:
    """Return the function that translates the format of a file."""
    data = source.document.data
    if isinstance(data, dict) and isinstance(data.get("topology"), dict):
        return containerlab.translated
    if isinstance(data, dict) and "services" in data:
        return compose.translated
    hint = "a compose file has services:, a containerlab file has topology: with nodes:"
    if isinstance(data, dict) and "nodes" in data:
        hint = "this looks like a topology; it needs no import"
    raise TopologyError(
        [source.document.problem((), "unknown-format", "is neither compose's nor containerlab's", hint)]
    )


def _interpolate(source: Source, variables: Mapping[str, str]) -> None:
    """Put values in the place of variables, and say where they came from."""

    def change(text: str, path: Path) -> str:
        def used(use: Use) -> None:
            if use.stood_for == "value":
                where = "the environment" if use.name in os.environ else ".env"
                source.note(path, DECIDE, f"the value of ${use.name} is from {where}, and now stands in the topology")
            elif use.stood_for == "nothing":
                source.note(
                    path, DECIDE, f"${use.name} is not set, so it stands for nothing", "set it, and import again"
                )

        try:
            return interpolated(text, variables, used)
        except MissingVariableError as error:
            source.error(path, "missing-variable", f"needs a variable: {error}", "set it in the environment or in .env")
        except ValueError as error:
            source.error(path, "bad-variable", f"can't be read: {error}", "write $$ for a dollar")
        return text

    source.document = with_texts(source.document, change)


def _variables(source: Source, directory: FilePath) -> Mapping[str, str]:
    """Return the variables of the environment and, as compose does, of the file `.env`; the former count more."""
    try:
        text = (directory / ".env").read_text(encoding="utf-8-sig")
    except OSError:
        return os.environ
    try:
        return env_files.parse(text) | os.environ
    except ValueError as error:
        problem = Problem(str(directory / ".env"), 1, 1, "bad-value", f"can't be read: {error}", "write NAME=VALUE")
        source.errors.append(problem)
        return os.environ


def _validate(source: Source, draft: Draft, directory: FilePath) -> None:
    """Take what a topology can't have out of the draft, until it is valid, and note it.

    Raises:
        TopologyError: something essential is not valid, or it can't be said what to leave out.
    """
    while True:
        document = read(draft.text((), {}), source.document.name)
        try:
            topology = loads_document(document, directory)
            if not topology.lacks_discovery:
                resolve(topology)
        except TopologyError as error:
            faults = [(draft.removable(_path_at(document, problem)), problem) for problem in error.problems]
            essential = [fault for fault in faults if len(fault[0]) < _REMOVABLE or fault[0][2] in _ESSENTIAL]
            if essential:
                raise TopologyError(
                    source.document.problem(draft.origin(path), problem.code, problem.message, problem.hint)
                    for path, problem in essential
                ) from None
            path, problem = faults[0]
            source.note(draft.origin(path), LEFT_OUT, _without_path(problem.message), problem.hint)
            draft.remove(path)
        else:
            return


def _path_at(document: Document, problem: Problem) -> Path:
    """Return the path of the innermost value that is at the place of a problem."""
    mark = (problem.line, problem.column)
    return max(
        (path for path, place in document.places.items() if mark in (place.value, place.key)), key=len, default=()
    )


def _without_path(message: str) -> str:
    """Return the message of a problem without its path, which is that in the topology."""
    _, space, said = message.partition(" ")
    return said if space else message


def _text(source: Source, draft: Draft, name: str) -> str:
    """Return the topology file, with notes where they belong."""
    comments: dict[Path, list[str]] = {}
    head = [f"Imported from {name}."]
    places = {origin: path for path, origin in draft.origins.items() if len(path) == 2}  # noqa: PLR2004  # of nodes, networks
    general: list[str] = []
    for note in source.notes:
        owner = next((path for origin, path in places.items() if note.path[: len(origin)] == origin), None)
        line = source.problem(note).line
        about = _about(note, len(next(origin for origin, path in places.items() if path == owner)) if owner else 0)
        (comments.setdefault(owner, []) if owner else general).append(f"{note.code} (line {line}): {about}")
    images = sorted({str(node["image"]) for node in draft.nodes.values() if "image" in node})
    if images:
        head.append(f"testbed up pulls these images unless they are there: {', '.join(images)}")
    head += general
    if draft.links:
        head.append("No wire is impaired. Write delay:, loss: or rate: beside wire: to do that.")
        return draft.text(head, comments)
    head.append("No link is impaired. The end of this file shows how to do that.")
    return draft.text(head, comments) + _example(draft)


def _about(note: Note, depth: int) -> str:
    """Return what a comment beside a node says: the path from the node on, what about it, and the hint."""
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in note.path[depth:]).lstrip(".")
    return ": ".join(part for part in (path, note.said, note.hint) if part)


def _example(draft: Draft) -> str:
    """Return comments that show an impaired link, between the first two nodes that share a network."""
    by_network: dict[str, list[str]] = {}
    for name, node in draft.nodes.items():
        networks = node.get("networks")
        for network in networks if isinstance(networks, dict | list) else ():
            by_network.setdefault(network, []).append(name)
    for network, names in by_network.items():
        if len(names) > 1:
            link = f"{{between: [{names[0]}, {names[1]}], network: {network}, delay: 40ms, loss: 2%}}"
            return f"\n# links:\n#   - {link}\n"
    return ""
