"""YAML text to plain data, strictly: YAML 1.2 core scalars, no duplicate keys, no tags, and the place of every value.

PyYAML parses; what scalars mean is decided here, because PyYAML follows YAML 1.1 (`on` is true, `1e-3` is text).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import yaml

from testbed.topology.problems import Problem, TopologyError, quote

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MOST_BYTES = 1 << 18
"""Of a file; a topology of a thousand nodes fits."""

MOST_VALUES = 20_000
"""In a file once its aliases are expanded."""

MOST_DIGITS = 100
"""Of an integer; longer ones become floats."""

MOST_DEPTH = 20
"""Of lists and mappings within each other."""

_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_NULL = {"", "~", "null", "Null", "NULL"}

Path = tuple[str | int, ...]
"""Where a value is in the data: keys and indices from the top."""


class Mark(NamedTuple):
    """A place in the text, from 1."""

    line: int
    column: int


class Place(NamedTuple):
    """Where a value is, its key if it is in a mapping (else the value again), and in what: the name of a file."""

    value: Mark
    key: Mark
    file: str


class Integer(int):
    """An integer that knows how it was written (`0x10`, `007`), for where text is wanted."""

    text: str


class Float(float):
    """A float that knows how it was written (`1.10`), for where text is wanted."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A file's data.

    Attributes:
        name: of the file, as the user gave it.
        data: dict, list, str, int, float, bool or None.
        places: of every value in `data`.
        lines: of the text.
        problems: faults that did not prevent reading on.
    """

    name: str
    data: object
    places: Mapping[Path, Place]
    lines: tuple[str, ...]
    problems: tuple[Problem, ...]

    def problem(self, path: Path, code: str, message: str, hint: str = "", *, at_key: bool = False) -> Problem:
        """A fault at the value (or its key) that `path` leads to, or at the nearest one around it that exists."""
        while path not in self.places:
            path = path[:-1]
        place = self.places[path]
        return Problem(place.file, *(place.key if at_key else place.value), code, message, hint)

    def place_within(self, path: Path, text: str, offset: int) -> Mark:
        """Where `offset` of the `text` at `path` is; where that text begins if it is not written as it reads."""
        (line, column), _, file = self.places[path]
        written = self.lines[line - 1][column - 1 :] if file == self.name and line <= len(self.lines) else ""
        quotes = int(written[:1] in ("'", '"'))
        return Mark(line, column + quotes + offset if written.startswith(text, quotes) else column)


@dataclass(slots=True)
class _Node:
    """A value with its place; `size` counts the values in it, itself included, aliases expanded."""

    mark: Mark
    content: object  # a scalar's value, or list[_Node], or dict[str, tuple[Mark, _Node]]
    size: int = 1


@dataclass(slots=True)
class _Composer:
    """Builds the nodes of one document from PyYAML's events."""

    name: str
    events: Iterator[yaml.Event]
    problems: list[Problem] = field(default_factory=list)
    anchors: dict[str, _Node | None] = field(default_factory=dict)  # None: still being built

    def document(self) -> _Node:
        """The root of the only document there is."""
        for event in self.events:
            if isinstance(event, yaml.StreamEndEvent):
                raise TopologyError(
                    [
                        Problem(
                            self.name,
                            1,
                            1,
                            "empty-file",
                            "there is nothing in it",
                            "a topology has at least `name:` and `nodes:`",
                        )
                    ]
                )
            if isinstance(event, yaml.DocumentStartEvent):
                break
        root = self.node(next(self.events), 0)
        next(self.events)  # the document's end
        after = next(self.events)
        if not isinstance(after, yaml.StreamEndEvent):
            raise self.fatal(
                _mark(after), "several-documents", "a second document starts here", "one topology per file"
            )
        return root

    def node(self, event: yaml.Event, depth: int) -> _Node:
        if isinstance(event, yaml.AliasEvent):
            return self.alias(event)
        if not isinstance(event, yaml.NodeEvent):
            raise TypeError(event)
        mark = _mark(event)
        if depth > MOST_DEPTH:
            raise self.fatal(mark, "too-deep", f"lists and mappings are nested more than {MOST_DEPTH} deep")
        if event.anchor is not None:
            self.anchors[event.anchor] = None
        tag = getattr(event, "tag", None)
        if tag is not None:
            self.problem(mark, "tag", f"{quote(tag)} is a YAML tag; there are none here", "leave it out")
        if isinstance(event, yaml.ScalarEvent):
            node = _Node(mark, self.scalar(event, mark))
        elif isinstance(event, yaml.SequenceStartEvent):
            node = self.sequence(mark, depth)
        else:
            node = self.mapping(mark, depth)
        if node.size > MOST_VALUES:
            raise self.fatal(mark, "too-large", f"more than {MOST_VALUES} values, aliases expanded")
        if event.anchor is not None:
            self.anchors[event.anchor] = node
        return node

    def alias(self, event: yaml.AliasEvent) -> _Node:
        name = str(event.anchor)
        if name not in self.anchors:
            raise self.fatal(_mark(event), "unknown-anchor", f"*{name} refers to no anchor above it")
        node = self.anchors[name]
        if node is None:
            raise self.fatal(_mark(event), "recursive-alias", f"*{name} is inside of what it refers to")
        return node

    def sequence(self, mark: Mark, depth: int) -> _Node:
        items: list[_Node] = []
        size = 1
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            items.append(self.node(event, depth + 1))
            size += items[-1].size
        return _Node(mark, items, size)

    def mapping(self, mark: Mark, depth: int) -> _Node:
        items: dict[str, tuple[Mark, _Node]] = {}
        size = 1
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            at = _mark(event)
            key = self.key(event, depth)
            value = self.node(next(self.events), depth + 1)
            size += value.size
            if key is None:
                continue
            if key in items:
                first = items[key][0]
                self.problem(at, "duplicate-key", f"{quote(key)} is given twice", f"the first is at line {first.line}")
            else:
                items[key] = (at, value)
        return _Node(mark, items, size)

    def key(self, event: yaml.Event, depth: int) -> str | None:
        """The text of a key; None, and a problem, where it is no text."""
        self.node(event, depth + 1)
        if isinstance(event, yaml.ScalarEvent):
            return str(event.value)
        self.problem(_mark(event), "bad-key", "a key is plain text here", "write `name: value`")
        return None

    def scalar(self, event: yaml.ScalarEvent, mark: Mark) -> object:
        """What a scalar means in YAML 1.2's core schema (section 10.3.2); infinities and NaN are left as text."""
        text = str(event.value)
        if any("\ud800" <= character <= "\udfff" for character in text):
            raise self.fatal(mark, "bad-text", f"{quote(text)} holds half of a character (a lone surrogate)")
        if event.style is not None:
            return text
        if text in _NULL:
            return None
        if text in _BOOL:
            return _BOOL[text]
        number: Integer | Float
        if _INT.fullmatch(text) and len(text) <= MOST_DIGITS:
            number = Integer(text, 0) if text.startswith(("0o", "0x")) else Integer(text)
        elif _FLOAT.fullmatch(text):
            number = Float(text)
        else:
            return text
        number.text = text
        return number

    def problem(self, mark: Mark, code: str, message: str, hint: str = "") -> None:
        self.problems.append(Problem(self.name, *mark, code, message, hint))

    def fatal(self, mark: Mark, code: str, message: str, hint: str = "") -> TopologyError:
        return TopologyError([*self.problems, Problem(self.name, *mark, code, message, hint)])


def read(text: str | bytes, name: str) -> Document:
    """The data in a topology file.

    Args:
        text: the file's content; bytes must be UTF-8.
        name: of the file, for messages.

    Raises:
        TopologyError: it is no YAML, or goes beyond what is read here (several documents, too deep, too large).
    """
    try:
        if len(text) > MOST_BYTES:
            raise _error(name, Mark(1, 1), "too-large", f"a topology has at most {MOST_BYTES} bytes, this has more")
        decoded = text.decode("utf-8-sig") if isinstance(text, bytes) else text
        loader = yaml.SafeLoader(decoded)
    except UnicodeDecodeError as error:
        mark = _mark_at(error.object[: error.start].decode(errors="replace"))
        raise _error(name, mark, "not-utf-8", f"byte 0x{error.object[error.start]:02x} is not UTF-8") from None
    except yaml.reader.ReaderError as error:
        mark = _mark_at(decoded[: error.position])
        raise _error(name, mark, "bad-text", f"character U+{error.character:04X} is not allowed in YAML") from None
    composer = _Composer(name, iter(loader.get_event, None))
    try:
        root = composer.document()
    except yaml.MarkedYAMLError as error:
        at = error.problem_mark
        mark = Mark(at.line + 1, at.column + 1) if at else Mark(1, 1)
        said = f"{error.problem or error} ({error.context})" if error.context else str(error.problem or error)
        raise composer.fatal(mark, "bad-yaml", said) from None
    except (ValueError, OverflowError):  # PyYAML on escapes beyond Unicode and on overlong %YAML versions
        mark = Mark(loader.line + 1, loader.column + 1)
        raise composer.fatal(mark, "bad-yaml", "this escape stands for nothing") from None
    places: dict[Path, Place] = {}
    data = _data(root, (), Place(root.mark, root.mark, name), places)
    lines = tuple(decoded.splitlines())
    return Document(name=name, data=data, places=places, lines=lines, problems=tuple(composer.problems))


def _data(node: _Node, path: Path, place: Place, places: dict[Path, Place]) -> object:
    """The plain data in `node`; notes the place of every value in it."""
    places[path] = place

    def within(part: str | int, item: _Node, key: Mark) -> object:
        return _data(item, (*path, part), Place(item.mark, key, place.file), places)

    if isinstance(node.content, list):
        return [within(index, item, item.mark) for index, item in enumerate(node.content)]
    if isinstance(node.content, dict):
        return {name: within(name, item, at) for name, (at, item) in node.content.items()}
    return node.content


def _mark(event: yaml.Event) -> Mark:
    at = event.start_mark
    return Mark(at.line + 1, at.column + 1) if at else Mark(1, 1)


def _mark_at(before: str) -> Mark:
    """The place after the text `before`."""
    return Mark(before.count("\n") + 1, len(before) - before.rfind("\n"))


def _error(name: str, mark: Mark, code: str, message: str) -> TopologyError:
    return TopologyError([Problem(name, *mark, code, message)])
