"""Strict parsing of YAML to plain data with the place of every value.

YAML 1.2 core scalars, no duplicate keys or tags; and the merge key `<<` of YAML 1.1, which people know from Compose.

PyYAML composes the nodes; what scalars mean is decided here, because PyYAML follows YAML 1.1 (`on` is true, `1e-3` is
text).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, cast

import yaml

from testbed.topology.problems import Problem, TopologyError, quote

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST_BYTES = 1 << 21
"""Of a file; a full mesh of 200 nodes, link by link, fits."""

MOST_VALUES = 200_000
"""In a file once its aliases are expanded: a full mesh of 200 nodes, link by link, has 100,000."""

MOST_DIGITS = 100
"""Of an integer; longer ones become floats."""

MOST_DEPTH = 20
"""Of lists and mappings within each other."""

_MERGE = "<<"
"""The key whose value, a mapping or a list of them, has further keys (https://yaml.org/type/merge.html)."""

_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_NULL = {"", "~", "null", "Null", "NULL"}

Path = tuple[str | int, ...]
"""Where a value is in the data: keys and indices from the top."""


class Position(NamedTuple):
    """A line and a column in the text, counted from 1."""

    line: int
    column: int


class Location(NamedTuple):
    """Where a value is, its key if it is in a mapping (else the value again), and in what: the name of a file."""

    value: Position
    key: Position
    file: str


class WrittenInteger(int):
    """An integer that knows how it was written (`0x10`, `007`), for where text is wanted."""

    text: str


class WrittenFloat(float):
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
        groups: names that stand for several nodes, beside those of `count`: of services with several containers.
    """

    name: str
    data: object
    places: Mapping[Path, Location]
    lines: tuple[str, ...]
    problems: tuple[Problem, ...]
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def problem(self, path: Path, code: str, message: str, hint: str = "", *, at_key: bool = False) -> Problem:
        """Return a problem at the value (or key) at `path`, or at the nearest enclosing value that exists."""
        while path not in self.places:
            path = path[:-1]
        place = self.places[path]
        return Problem(place.file, *(place.key if at_key else place.value), code, message, hint)

    def value(self, path: Path) -> object:
        """Return the value at `path`."""
        value = self.data
        for part in path:
            value = value[part]  # type: ignore[index]
        return value

    def place_within(self, path: Path, offset: int) -> Position:
        """Where `offset` of the text at `path` is; where that text begins if it is not written as it reads."""
        text = str(self.value(path))
        (line, column), _, file = self.places[path]
        written = self.lines[line - 1][column - 1 :] if file == self.name and line <= len(self.lines) else ""
        quotes = int(written[:1] in ("'", '"'))
        return Position(line, column + quotes + offset if written.startswith(text, quotes) else column)


class _Composer(
    yaml.reader.Reader, yaml.scanner.Scanner, yaml.parser.Parser, yaml.composer.Composer, yaml.resolver.BaseResolver
):
    """PyYAML's composer of nodes with their places, which refuses what a topology must not contain."""

    def __init__(self, text: str, name: str) -> None:
        yaml.reader.Reader.__init__(self, text)
        yaml.scanner.Scanner.__init__(self)
        yaml.parser.Parser.__init__(self)
        yaml.composer.Composer.__init__(self)
        yaml.resolver.BaseResolver.__init__(self)
        self.name = name
        self.problems: list[Problem] = []
        self._parents: list[yaml.Node | None] = []

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node:
        """As PyYAML does, with limits on depth, tags and aliases.

        Raises:
            TopologyError: `too-deep`, `unknown-anchor`, `recursive-alias`.
        """
        event: yaml.Event = self.peek_event()  # type: ignore[no-untyped-call]
        mark = _mark(event)
        if len(self._parents) > MOST_DEPTH:
            raise self.fatal(mark, "too-deep", f"lists and mappings are nested more than {MOST_DEPTH} deep")
        if isinstance(event, yaml.AliasEvent) and event.anchor not in self.anchors:
            raise self.fatal(mark, "unknown-anchor", f"*{event.anchor} refers to no anchor above it")
        if (tag := getattr(event, "tag", None)) is not None:
            self.problem(mark, "tag", f"{quote(tag)} is a YAML tag; there are none here", "leave it out")
        if isinstance(event, yaml.NodeEvent) and not isinstance(event, yaml.AliasEvent):
            self.anchors.pop(event.anchor, None)  # YAML lets an anchor be defined again; PyYAML does not
        self._parents.append(parent)
        node = cast("yaml.Node", super().compose_node(parent, index))
        if isinstance(event, yaml.AliasEvent) and any(node is one for one in self._parents):
            raise self.fatal(mark, "recursive-alias", f"*{event.anchor} is inside of what it refers to")
        self._parents.pop()
        return node

    def document(self) -> yaml.Node:
        """Return the root of the only document of the text.

        Raises:
            TopologyError: `empty-file`, `several-documents`, and those of `compose_node`.
        """
        if not self.check_node():
            hint = "a topology has at least `name:` and `nodes:`"
            raise self.fatal(Position(1, 1), "empty-file", "there is nothing in it", hint)
        root = cast("yaml.Node", self.compose_document())
        if self.check_node():
            mark = _mark(self.peek_event())  # type: ignore[no-untyped-call]
            raise self.fatal(mark, "several-documents", "a second document starts here", "one topology per file")
        return root

    def problem(self, mark: Position, code: str, message: str, hint: str = "") -> None:
        """Record an error after which reading can continue."""
        self.problems.append(Problem(self.name, *mark, code, message, hint))

    def fatal(self, mark: Position, code: str, message: str, hint: str = "") -> TopologyError:
        """Return the error that ends reading, with the errors found before."""
        return TopologyError([*self.problems, Problem(self.name, *mark, code, message, hint)])


@dataclass(slots=True)
class _Reader:
    """Turns composed nodes into plain data and notes where each value is."""

    composer: _Composer
    places: dict[Path, Location] = field(default_factory=dict)
    _sizes: dict[int, int] = field(default_factory=dict)
    _scalars: dict[int, object] = field(default_factory=dict)
    _pairs: dict[int, dict[str, tuple[Position, yaml.Node]]] = field(default_factory=dict)

    def read(self, root: yaml.Node) -> object:
        """Return the data of a document.

        Raises:
            TopologyError: `too-large`, `bad-text`.
        """
        self._measure(root)
        at = _mark(root)
        return self._data(root, (), Location(at, at, self.composer.name))

    def _measure(self, node: yaml.Node) -> int:
        """Return the number of values in a node, with itself and expanded aliases; each node is visited once."""
        if id(node) not in self._sizes:
            self._sizes[id(node)] = 1 + sum(map(self._measure, self._within(node)))
            if self._sizes[id(node)] > MOST_VALUES:
                raise self.composer.fatal(_mark(node), "too-large", f"more than {MOST_VALUES} values, aliases expanded")
        return self._sizes[id(node)]

    def _within(self, node: yaml.Node) -> list[yaml.Node]:
        """The values directly within a node, which is read on the way."""
        if isinstance(node, yaml.SequenceNode):
            return list(node.value)
        if isinstance(node, yaml.MappingNode):
            self._pairs[id(node)] = self._mapping(node)
            return [value for _, value in node.value]
        if isinstance(node, yaml.ScalarNode):
            self._scalars[id(node)] = self._scalar(node)
        return []

    def _mapping(self, node: yaml.MappingNode) -> dict[str, tuple[Position, yaml.Node]]:
        """The entries of a mapping, with the places of their keys; keys that are no text or come twice are faults."""
        entries: dict[str, tuple[Position, yaml.Node]] = {}
        merged: dict[str, tuple[Position, yaml.Node]] = {}
        for key, value in node.value:
            at = _mark(key)
            if isinstance(key, yaml.ScalarNode) and key.value == _MERGE and key.style is None and not merged:
                merged = self._merged(value)
                continue
            if not isinstance(key, yaml.ScalarNode):
                self.composer.problem(at, "bad-key", "a key is plain text here", "write `name: value`")
                continue
            self._scalar(key)
            if key.value in entries:
                hint = f"the first is at line {entries[key.value][0].line}"
                self.composer.problem(at, "duplicate-key", f"{quote(key.value)} is given twice", hint)
            else:
                entries[key.value] = (at, value)
        return merged | entries

    def _merged(self, node: yaml.Node) -> dict[str, tuple[Position, yaml.Node]]:
        """Return the entries that a merge key adds; where several mappings have a key, the first one's."""
        entries: dict[str, tuple[Position, yaml.Node]] = {}
        for mapping in reversed(node.value) if isinstance(node, yaml.SequenceNode) else [node]:
            if isinstance(mapping, yaml.MappingNode):
                self._measure(mapping)
                entries |= self._pairs[id(mapping)]
            else:
                hint = "write `<<: *anchor`, where the anchor is a mapping's"
                self.composer.problem(_mark(mapping), "bad-merge", "only a mapping can be merged into another", hint)
        return entries

    def _scalar(self, node: yaml.ScalarNode) -> object:
        """What a scalar means in YAML 1.2's core schema (section 10.3.2); infinities and NaN are left as text."""
        text = str(node.value)
        if any("\ud800" <= character <= "\udfff" for character in text):
            message = f"{quote(text)} holds half of a character (a lone surrogate)"
            raise self.composer.fatal(_mark(node), "bad-text", message)
        if node.style is not None:
            return text
        if text in _NULL:
            return None
        if text in _BOOL:
            return _BOOL[text]
        number: WrittenInteger | WrittenFloat
        if _INT.fullmatch(text) and len(text) <= MOST_DIGITS:
            number = WrittenInteger(text, 0) if text.startswith(("0o", "0x")) else WrittenInteger(text)
        elif _FLOAT.fullmatch(text):
            number = WrittenFloat(text)
        else:
            return text
        number.text = text
        return number

    def _data(self, node: yaml.Node, path: Path, place: Location) -> object:
        """The plain data in a node, aliases expanded; notes the place of every value in it."""
        self.places[path] = place

        def within(part: str | int, item: yaml.Node, key: Position) -> object:
            return self._data(item, (*path, part), Location(_mark(item), key, place.file))

        if isinstance(node, yaml.SequenceNode):
            return [within(index, item, _mark(item)) for index, item in enumerate(node.value)]
        if isinstance(node, yaml.MappingNode):
            return {name: within(name, item, at) for name, (at, item) in self._pairs[id(node)].items()}
        return self._scalars[id(node)]


def read(text: str | bytes, name: str) -> Document:
    """Parse the text of a topology file.

    Args:
        text: the file's content; bytes must be UTF-8.
        name: of the file, for messages.

    Raises:
        TopologyError: it is no YAML, or goes beyond what is read here (several documents, too deep, too large).
    """
    try:
        if len(text) > MOST_BYTES:
            raise _error(name, Position(1, 1), "too-large", f"a topology has at most {MOST_BYTES} bytes, this has more")
        decoded = text.decode("utf-8-sig") if isinstance(text, bytes) else text
        composer = _Composer(decoded, name)
    except UnicodeDecodeError as error:
        mark = _mark_at(error.object[: error.start].decode(errors="replace"))
        raise _error(name, mark, "not-utf-8", f"byte 0x{error.object[error.start]:02x} is not UTF-8") from None
    except yaml.reader.ReaderError as error:
        mark = _mark_at(decoded[: error.position])
        raise _error(name, mark, "bad-text", f"character U+{error.character:04X} is not allowed in YAML") from None
    reader = _Reader(composer)
    try:
        data = reader.read(composer.document())
    except yaml.MarkedYAMLError as error:
        at = error.problem_mark
        mark = Position(at.line + 1, at.column + 1) if at else Position(1, 1)
        said = f"{error.problem or error} ({error.context})" if error.context else str(error.problem or error)
        raise composer.fatal(mark, "bad-yaml", said, _hint(said, decoded, mark)) from None
    except (ValueError, OverflowError):  # PyYAML on escapes beyond Unicode and on overlong %YAML versions
        mark = Position(composer.line + 1, composer.column + 1)
        raise composer.fatal(mark, "bad-yaml", "this escape stands for nothing") from None
    lines = tuple(decoded.splitlines())
    return Document(name=name, data=data, places=reader.places, lines=lines, problems=tuple(composer.problems))


def _hint(said: str, text: str, mark: Position) -> str:
    """Return what to do about an error of PyYAML, where that is mostly the same."""
    lines = text.split("\n")[: mark.line]
    if "'\\t'" in said or (lines and "\t" in lines[-1][: len(lines[-1]) - len(lines[-1].lstrip())]):
        return "indent with spaces: YAML allows no tabs there"
    if "while parsing a flow" in said:
        return "look for a { or [ before this place that is not closed, or a comma that is missing"
    if "while scanning a quoted scalar" in said:
        return "look for a quotation mark before this place that has no second one"
    if "expected <block end>" in said or "mapping values are not allowed" in said:
        return "indent the keys of one mapping alike, and put text with a colon into quotes"
    return ""


def _mark(at: yaml.Event | yaml.Node) -> Position:
    """Return the position at which an event or a node starts."""
    start = at.start_mark
    return Position(start.line + 1, start.column + 1) if start else Position(1, 1)


def _mark_at(before: str) -> Position:
    """Return the position after the text `before`."""
    return Position(before.count("\n") + 1, len(before) - before.rfind("\n"))


def _error(name: str, mark: Position, code: str, message: str) -> TopologyError:
    return TopologyError([Problem(name, *mark, code, message)])
