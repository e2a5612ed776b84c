"""Settings, which replace values of a file: the levels of a sweep, from the file or the command line.

A path says what is set: `links[0].loss`, `workloads.download.congestion` (by its name, also within `together`),
`nodes.server.sysctls."net.ipv4.tcp_ecn"`. All but its last part must be in the file.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from testbed.errors import UsageError
from testbed.topology.document import Document, Location, Path, Position, read
from testbed.topology.error_messages import show
from testbed.topology.problems import Problem, TopologyError, nearest, quote
from testbed.topology.values import SETTING_PATH

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_EXAMPLE = "links[0].loss=0%,1%,2%"

_FIXED = {
    "name": "runs of other topologies can't be compared",
    "seed": "--repeat runs everything with other seeds, --seed says where they start from",
    "sweep": "it says what varies",
}
"""What can't be set, and what to do instead."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Override:
    """A value that takes the place of the file's own.

    Attributes:
        path: what is set, as it is written.
        text: the value, as the file would write it on one line.
        document, at: where the value is written.
        key: where, in the same document, the path is.
    """

    path: str
    text: str
    document: Document
    at: Path
    key: Position

    def fault(self, code: str, message: str, hint: str = "") -> Problem:
        """Return a fault of the path."""
        return Problem(self.document.name, *self.key, code, message, hint)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Factor:
    """A factor and its levels, in the terms of the design of experiments: a key that varies, and its values."""

    path: str
    levels: tuple[Override, ...]

    @property
    def faults(self) -> Iterator[Problem]:
        """Yield levels that occur twice."""
        texts = [level.text for level in self.levels]
        for index, level in enumerate(self.levels):
            if level.text in texts[:index]:
                yield level.document.problem(level.at, "duplicate-value", f"{self.path} takes {level.text} twice")


def parse_factor(text: str) -> Factor:
    """Parse an option `--set PATH=VALUE,VALUE...`; the values are items of a YAML list.

    Raises:
        UsageError: it is none, or the values are no YAML.
    """
    name = f"--set {shlex.quote(text)}"
    path, equals, values = text.partition("=")
    if not equals or re.fullmatch(SETTING_PATH, path) is None:
        raise UsageError("bad-setting", f"{name} is not a path, =, and values", f"write it like {_EXAMPLE}")
    document = read(f"{' ' * len(path)}[{values}]", name)  # columns are those of the text
    factor = _factor(path, document, (), Position(1, 1))
    if not factor.levels:
        raise UsageError("no-values", f"{name} has no values", f"write it like {_EXAMPLE}")
    if problems := [*document.problems, *factor.faults]:
        raise TopologyError(problems)
    return factor


def factors_in(document: Document) -> tuple[Factor, ...]:
    """Return the factors of a file's own `sweep` that can be read."""
    sweep = document.data.get("sweep") if isinstance(document.data, dict) else None
    varied = sweep.get("set") if isinstance(sweep, dict) else None
    paths = [path for path in varied if re.fullmatch(SETTING_PATH, path)] if isinstance(varied, dict) else []
    at: dict[str, Path] = {path: ("sweep", "set", path) for path in paths}
    return tuple(_factor(path, document, at[path], document.places[at[path]].key) for path in paths)


def factor_problems(factor: Factor, document: Document) -> Iterator[Problem]:
    """Yield the problems of a factor of a file's `sweep`: an unknown path, or a value that it has twice."""
    yield from factor.faults
    for level in factor.levels[:1]:
        if isinstance(path := located(document, level), Problem):
            yield path


def _factor(path: str, document: Document, at: Path, key: Position) -> Factor:
    """Return the factor whose levels are the list at `at` of a document."""
    values = document.value(at)
    levels = (
        Override(path=path, text=written(value), document=document, at=(*at, index), key=key)
        for index, value in enumerate(values if isinstance(values, list) else ())
    )
    return Factor(path=path, levels=tuple(levels))


def written(value: object) -> str:
    """Return a value as one line of YAML."""
    if isinstance(value, dict):
        return f"{{{', '.join(f'{name}: {written(one)}' for name, one in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(written, value))}]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(getattr(value, "text", value))


def applied(document: Document, settings: Iterable[Override]) -> Document:
    """Return the document with the settings applied; settings whose path does not exist become problems."""
    seen: list[Path] = []
    for setting in settings:
        path = located(document, setting)
        if isinstance(path, Problem):
            document = replace(document, problems=(*document.problems, path))
            continue
        if any(path[: len(other)] == other[: len(path)] for other in seen):
            problem = setting.fault("duplicate-setting", f"{show(path)} is set twice", "vary it once")
            document = replace(document, problems=(*document.problems, problem))
        seen.append(path)
        document = _replaced(document, path, setting)
    return document


def located(document: Document, setting: Override) -> Path | Problem:
    """Return the place of a setting in the document's data, or the problem if it has none."""
    parts = _parts(setting.path)
    if parts[0] in _FIXED:
        return setting.fault("unknown-path", f"{parts[0]} can't be varied", _FIXED[str(parts[0])])
    path: Path = ()
    value = document.data
    for number, part in enumerate(parts):
        entries = dict(_entries(value))
        is_new_key = number == len(parts) - 1 and isinstance(part, str) and isinstance(value, dict | None)
        if part not in entries and not is_new_key:
            wanted, *names = (f"[{name}]" if isinstance(name, int) else name for name in (part, *entries))
            hint = nearest(wanted, names, "its parts")
            return setting.fault("unknown-path", f"{show(path)} has no {quote(wanted)}", hint)
        steps, value = entries.get(part, ((part,), None))
        path += steps
    return path


def _parts(path: str) -> list[str | int]:
    """Return the parts of a path: keys and names as text, indices as numbers."""
    return [
        int(part[1:-1]) if part.startswith("[") else part.strip('"')
        for part in re.findall(r'"[^"]+"|\[[0-9]+\]|[^."\[\]]+', path)
    ]


def _entries(value: object) -> Iterator[tuple[str | int, tuple[Path, object]]]:
    """Return the values that a part of a path can select, with their places; in lists also by name."""
    if isinstance(value, dict):
        yield from ((name, ((name,), entry)) for name, entry in value.items())
    for index, entry in enumerate(value if isinstance(value, list) else ()):
        yield index, ((index,), entry)
        together = entry.get("together") if isinstance(entry, dict) else None
        ways: list[tuple[Path, object]] = [((index,), entry)]
        if isinstance(together, list):
            ways = [((index, "together", number), each) for number, each in enumerate(together)]
        for way, item in ways:
            if isinstance(item, dict) and isinstance(item.get("name"), str):
                yield item["name"], (way, item)


def _replaced(document: Document, path: Path, setting: Override) -> Document:
    """Return the document with the setting's value, and the places of all its parts, at `path`."""
    kept = {path_of_key: place for path_of_key, place in document.places.items() if path_of_key[: len(path)] != path}
    size = len(setting.at)
    added = {
        (*path, *path_of_key[size:]): place
        for path_of_key, place in setting.document.places.items()
        if path_of_key[:size] == setting.at
    }
    added[path] = Location(added[path].value, setting.key, added[path].file)
    return replace(
        document, data=_with(document.data, path, setting.document.value(setting.at)), places={**kept, **added}
    )


def _with(data: object, path: Path, value: object) -> object:
    """Return the data with a value at `path`."""
    if not path:
        return value
    first, rest = path[0], path[1:]
    if isinstance(data, list):
        return [_with(one, rest, value) if index == first else one for index, one in enumerate(data)]
    entries = data if isinstance(data, dict) else {}
    return {**entries, str(first): _with(entries.get(first), rest, value)}
