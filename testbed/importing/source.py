"""The file that is imported: its values with their places, and what is said of them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from testbed.topology.document import WrittenFloat, WrittenInteger
from testbed.topology.error_messages import show
from testbed.topology.problems import Problem, nearest, quote

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from testbed.topology.document import Document, Location, Path

LEFT_OUT = "left-out"
"""It has no counterpart in a topology."""

CHANGED = "changed"
"""It has one that is not quite the same."""

DECIDE = "decide"
"""The user has to decide."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """What is to be said of a value; it does not prevent the import.

    Attributes:
        path: of the value in the file.
        code: LEFT_OUT, CHANGED or DECIDE.
        said: what about it, without the path; may be empty where the code says it all.
    """

    path: Path
    code: str
    said: str
    hint: str

    def __str__(self) -> str:
        return ": ".join(part for part in (self.code, show(self.path), self.said, self.hint) if part)


@dataclass(slots=True, kw_only=True)
class Source:
    """A file and what was found in it.

    Attributes:
        document: its data.
        notes: in the order in which they were found.
        errors: what prevents the import.
    """

    document: Document
    notes: list[Note] = field(default_factory=list)
    errors: list[Problem] = field(default_factory=list)

    def note(self, path: Path, code: str, said: str = "", hint: str = "") -> None:
        """Say something of the value at `path`, once."""
        note = Note(path=path, code=code, said=said, hint=hint)
        if note not in self.notes:
            self.notes.append(note)

    def error(self, path: Path, code: str, said: str, hint: str = "", *, at_key: bool = False) -> None:
        """Say what is wrong with the value (or the key) at `path`."""
        message = f"{show(path)} {said}" if path else said
        self.errors.append(self.document.problem(path, code, message, hint, at_key=at_key))

    def problem(self, note: Note) -> Problem:
        """Return a note as a problem with line and column."""
        message = ": ".join(part for part in (show(note.path), note.said) if part)
        return self.document.problem(note.path, note.code, message, note.hint, at_key=True)

    def get(self, path: Path) -> object:
        """Return the value at `path`; None where there is none."""
        value = self.document.data
        for part in path:
            if isinstance(value, dict):
                value = value.get(part)
            elif isinstance(value, list) and isinstance(part, int) and part < len(value):
                value = value[part]
            else:
                return None
        return value

    def mapping(self, path: Path) -> dict[str, object]:
        """Return the mapping at `path`; an empty one where there is nothing or, with an error, something else."""
        value = self.get(path)
        if isinstance(value, dict):
            return value
        if value is not None:
            self.error(path, "wrong-type", "is no mapping", "write it like `name: value`, one in a line")
        return {}

    def items(self, path: Path) -> list[object]:
        """Return the list at `path`; an empty one where there is nothing or, with an error, something else."""
        value = self.get(path)
        if isinstance(value, list):
            return value
        if value is not None:
            self.error(path, "wrong-type", "is no list", "write it like [a, b]")
        return []

    def text(self, path: Path) -> str:
        """Return the scalar at `path` as it was written; empty where there is nothing or, with an error, a list."""
        value = self.get(path)
        if isinstance(value, bool):
            return str(value).lower()
        if isinstance(value, WrittenInteger | WrittenFloat):
            return value.text
        if isinstance(value, str):
            return value
        if value is not None:
            self.error(path, "wrong-type", "is a list or mapping, and should be text")
        return ""

    def texts(self, path: Path) -> list[str]:
        """Return the scalars of the list at `path`; of a scalar, a list with only that."""
        if isinstance(self.get(path), str | int | float):
            return [self.text(path)]
        return [self.text((*path, index)) for index in range(len(self.items(path)))]

    def pairs(self, path: Path) -> dict[str, str | None]:
        """Return names and values of a mapping, or of a list of NAME=VALUE; None for a name without a value."""
        if isinstance(self.get(path), list):
            parts = [text.partition("=") for text in self.texts(path)]
            return {name: value if equals else None for name, equals, value in parts}
        given = self.mapping(path)
        return {name: None if value is None else self.text((*path, name)) for name, value in given.items()}

    def flag(self, path: Path) -> bool:
        """Return whether the value at `path` is true; text may come from a variable."""
        text = self.text(path)
        if text not in ("", "true", "false"):
            self.error(path, "wrong-type", f"is {quote(text)}, must be true or false")
        return text == "true"

    def only(self, path: Path, keys: Collection[str]) -> None:
        """Refuse keys of the mapping at `path` that the format does not have; extensions (x-...) are allowed."""
        for name in self.mapping(path):
            if name not in keys and not name.startswith("x-"):
                hint = nearest(name, sorted(keys), "keys")
                self.error((*path, name), "unknown-key", "is no key of this format", hint, at_key=True)


def with_merges(document: Document) -> Document:
    """Return a document in which `<<: *anchor` is replaced by what it merges (https://yaml.org/type/merge.html)."""
    places: dict[Path, Location] = {}

    def walk(value: object, at: Path, to: Path) -> object:
        """Return the value at `at` with merges done, and note the places of all in it below `to`."""
        places[to] = document.places[at]
        if isinstance(value, list):
            return [walk(item, (*at, index), (*to, index)) for index, item in enumerate(value)]
        if not isinstance(value, dict):
            return value
        return {name: walk(item, where, (*to, name)) for name, (item, where) in entries(value, at).items()}

    def entries(mapping: dict[str, object], at: Path) -> dict[str, tuple[object, Path]]:
        """The entries of a mapping and, behind them, those that it merges; the first of a name counts."""
        found = {name: (item, (*at, name)) for name, item in mapping.items() if name != "<<"}
        merged, where = mapping.get("<<"), (*at, "<<")
        sources = [(item, (*where, index)) for index, item in enumerate(merged)] if isinstance(merged, list) else []
        for item, source in sources or [(merged, where)]:
            if isinstance(item, dict):
                found = entries(item, source) | found
        return found

    return replace(document, data=walk(document.data, (), ()), places=places)


def with_texts(document: Document, change: Callable[[str, Path], str]) -> Document:
    """Return a document with every text in it replaced by what `change` makes of it and its path."""

    def walk(value: object, path: Path) -> object:
        if isinstance(value, dict):
            return {name: walk(item, (*path, name)) for name, item in value.items()}
        if isinstance(value, list):
            return [walk(item, (*path, index)) for index, item in enumerate(value)]
        return change(value, path) if isinstance(value, str) else value

    return replace(document, data=walk(document.data, ()))
