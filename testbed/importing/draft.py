"""The topology that is made: data, where each part came from, and the YAML text of it with comments."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from testbed.topology.yaml_text import WIDTH, dumped

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from testbed.topology.document import Path


@dataclass(slots=True, kw_only=True)
class Draft:
    """A topology in the making.

    Attributes:
        networks, nodes, links: the sections of the file.
        origins: the places in the imported file, by the places here, that parts came from.
    """

    name: str = "imported"
    networks: dict[str, dict[str, object]] = field(default_factory=dict)
    nodes: dict[str, dict[str, object]] = field(default_factory=dict)
    links: list[dict[str, object]] = field(default_factory=list)
    origins: dict[Path, Path] = field(default_factory=dict)

    def set(self, node: str, key: str, value: object, origin: Path) -> None:
        """Give a node a value for a key, from the place `origin` of the imported file."""
        self.nodes[node][key] = value
        self.origins["nodes", node, key] = origin

    def add(self, node: str, key: str, value: object, origin: Path) -> None:
        """Append a value to the list that a node has at a key, unless it is there already."""
        values = self.nodes[node].setdefault(key, [])
        if isinstance(values, list) and value not in values:
            values.append(value)
            self.origins["nodes", node, key, len(values) - 1] = origin
            self.origins.setdefault(("nodes", node, key), origin)

    def put(self, node: str, key: str, name: str, value: object, origin: Path) -> None:
        """Give the mapping that a node has at a key a value for a name."""
        values = self.nodes[node].setdefault(key, {})
        if isinstance(values, dict):
            values[name] = value
            self.origins["nodes", node, key, name] = origin
            self.origins.setdefault(("nodes", node, key), origin)

    def removable(self, path: Path) -> Path:
        """Return the longest part of `path` that came from one place in the imported file."""
        while path and path not in self.origins:
            path = path[:-1]
        return path

    def origin(self, path: Path) -> Path:
        """Return where in the imported file the part at `path`, or what it is in, came from."""
        return self.origins.get(self.removable(path), ())

    def remove(self, path: Path) -> None:
        """Remove the value at `path`, and the list or mapping that it was the last value of."""
        parent: object = {"networks": self.networks, "nodes": self.nodes, "links": self.links}
        for part in path[:-1]:
            parent = parent[part]  # type: ignore[index]
        del parent[path[-1]]  # type: ignore[attr-defined]
        if isinstance(path[-1], int):
            self.origins = dict(_shifted(self.origins, path))
        if not parent and len(path) > 3:  # noqa: PLR2004  # a key of a node
            self.remove(path[:-1])

    def text(self, head: Iterable[str], comments: Mapping[Path, Iterable[str]]) -> str:
        """Return the file.

        Args:
            head: comments at the top.
            comments: those of nodes, networks and links, by path.
        """
        return "\n".join([*_commented(head), *self._lines(comments)]) + "\n"

    def _lines(self, comments: Mapping[Path, Iterable[str]]) -> Iterator[str]:
        yield from dumped({"name": self.name})
        for title, section in (("networks", self.networks), ("nodes", self.nodes)):
            if section:
                yield from ("", f"{title}:")
                for name, entry in section.items():
                    yield from (f"  {line}" for line in _commented(comments.get((title, name), ())))
                    yield from (f"  {line}" for line in dumped({name: entry or None}))
        if self.links:
            yield from ("", "links:")
            for index, link in enumerate(self.links):
                yield from (f"  {line}" for line in _commented(comments.get(("links", index), ())))
                yield from (f"  - {line}" for line in dumped(link, flow=True))


def _shifted(origins: Mapping[Path, Path], removed: Path) -> Iterator[tuple[Path, Path]]:
    """Yield the origins of what is left once an item of a list was removed."""
    *parent, index = removed
    depth = len(parent)
    for path, origin in origins.items():
        if path[:depth] != tuple(parent) or len(path) == depth:
            yield path, origin
        elif isinstance(at := path[depth], int) and isinstance(index, int) and at != index:
            yield (*parent, at - (at > index), *path[depth + 1 :]), origin


def _commented(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        wrapped = textwrap.wrap(_one_line(line), WIDTH, subsequent_indent="  ", break_on_hyphens=False)
        yield from (f"# {part}" for part in wrapped)


def _one_line(text: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in text)
