"""Conversion of values of declared types to JSON and back, for storage and between processes.

A type is a dataclass whose annotations say all there is to know (`msgspec` reads them); further tests go into its
`__post_init__`, as ValueErrors. Class attributes say where the JSON form is another than that of the fields:

- `OMIT_DEFAULTS = True`: fields that have their default are left out;
- `DERIVED = ("passed",)`: these properties are written beside the fields, for other programs; they are not read;
- a field with the metadata `NOT_STORED` is left out; the reader supplies it;
- a field with the metadata `OMIT_DEFAULT` is left out as long as it has its default.

Messages, which are not stored, may be `msgspec.Struct`s instead: these are made faster. A class that is neither has a
JSON form if it is a `Variant` or an `OwnForm`, such as a `TextForm`.
"""

from __future__ import annotations

import re
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import Field, fields, is_dataclass
from types import MappingProxyType
from typing import Any, ClassVar, Self, TypeVar, get_args, get_type_hints

import msgspec

T = TypeVar("T")

NOT_STORED: Mapping[str, bool] = MappingProxyType({"stored": False})
"""Metadata of a field that is no part of the JSON form."""

OMIT_DEFAULT: Mapping[str, bool] = MappingProxyType({"omit default": True})
"""Metadata of a field that is left out as long as it has its default: what does without it is stored as before."""

_PLAIN = frozenset({str, int, float, bool, type(None)})
"""Types of values that are the same in JSON."""

_PATH = re.compile(r" - at `\$(?P<path>[^`]*)`$")


class UnreadableError(ValueError):
    """An error in data that is not of the declared type.

    Attributes:
        path: of the value that is wrong, as in `links[0].impairments.delay_ns`; empty for the whole.
        reason: what is wrong with it.
    """

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}" if path else reason)
        self.path = path
        self.reason = reason


def _tag(name: str) -> str:
    """The `kind` of a class: `GilbertElliott` is `gilbert-elliott`."""
    return re.sub("(?<=[a-z])(?=[A-Z])", "-", name).lower()


class Variant(msgspec.Struct, frozen=True, tag_field="kind", tag=_tag, forbid_unknown_fields=True):
    """Base of the types of a union. In JSON, each says by its `kind` which one it is."""

    NOT_DECISIVE: ClassVar[tuple[str, ...]] = ()
    """The fields that have no part in what a plan does (`testbed.decisive`)."""

    @property
    def kind(self) -> str:
        """Which of the union's types it is."""
        return str(self.__struct_config__.tag)


class OwnForm(ABC):
    """Base of classes that make their JSON form themselves.

    Attributes:
        JSON_SCHEMA: of that form.
    """

    JSON_SCHEMA: ClassVar[Mapping[str, Any]]

    __slots__ = ()

    @abstractmethod
    def to_json(self) -> Any:  # noqa: ANN401  # JSON
        """Return the JSON form."""

    @classmethod
    @abstractmethod
    def from_json(cls, data: object) -> Self:
        """Return the instance that a JSON form stands for.

        Raises:
            ValueError: it stands for none.
        """


class TextForm(OwnForm):
    """Base of classes whose JSON form is a text: `str` of an instance makes it."""

    JSON_SCHEMA: ClassVar[Mapping[str, Any]] = MappingProxyType({"type": "string"})

    __slots__ = ()

    def to_json(self) -> str:
        """Return the text."""
        return str(self)

    @classmethod
    def from_json(cls, data: object) -> Self:
        """Return the instance that a text stands for."""
        if not isinstance(data, str):
            raise UnreadableError("", f"expected `str`, got `{type(data).__name__}`")
        return cls.from_text(data)

    @classmethod
    @abstractmethod
    def from_text(cls, text: str) -> Self:
        """The instance that a text stands for.

        Raises:
            ValueError: it stands for none.
        """


def encode(value: Any) -> Any:  # noqa: ANN401  # any declared type, to JSON
    """Return a value as JSON data, which `decode` reads."""
    if type(value) in _PLAIN:
        return value
    if isinstance(value, OwnForm):
        return value.to_json()
    if is_dataclass(value) or isinstance(value, msgspec.Struct):
        return _encode_fields(value)
    if isinstance(value, Mapping):
        return {key: encode(part) for key, part in value.items()}
    if isinstance(value, tuple | list):
        return [encode(part) for part in value]
    return value


def _encode_fields(value: Any) -> dict[str, Any]:  # noqa: ANN401  # any dataclass or Struct
    if isinstance(value, msgspec.Struct):
        kind_of_variant = {"kind": value.kind} if isinstance(value, Variant) else {}
        return kind_of_variant | {name: encode(getattr(value, name)) for name in value.__struct_fields__}
    kind, encoded = type(value), {}
    for member in fields(value):
        part = getattr(value, member.name)
        may_omit = getattr(kind, "OMIT_DEFAULTS", False) or "omit default" in member.metadata
        if is_stored(member) and not (may_omit and part == member.default):
            encoded[member.name] = encode(part)
    return encoded | {name: encode(getattr(value, name)) for name in _derived(kind)}


def is_stored(field: Field[Any]) -> bool:
    """Whether a field is part of the JSON form."""
    return field.metadata.get("stored", True) is True


def _derived(kind: type[Any]) -> tuple[str, ...]:
    names: tuple[str, ...] = getattr(kind, "DERIVED", ())
    return names


def decode(data: object, kind: type[T], **supplied: object) -> T:
    """Return the value of a declared type that JSON data represents.

    Args:
        data: as `json.loads` returns it.
        kind: the type.
        supplied: the fields that are not stored.

    Raises:
        UnreadableError: the data is not of that type, or has keys that the type does not have.
    """
    if supplied and isinstance(data, dict):
        data = {**data, **supplied}
    try:
        value = _converted(data, kind)
    except msgspec.ValidationError as error:
        raise _unreadable(error) from None
    _refuse_unknown_keys(value, data, "")
    return value


_building = threading.RLock()
_built: set[Any] = set()
"""The types that were decoded before."""


def _converted(data: object, kind: type[T]) -> T:
    """Return the value of a declared type, with the keys that are unknown ignored.

    One thread at a time makes what a type needs: another one could find it half made, and would end with a segmentation
    fault (msgspec 0.22: src/msgspec/_core.c, StructInfo_Convert).
    """
    if kind in _built:
        return msgspec.convert(data, kind, dec_hook=_decode_other)
    with _building:
        try:
            return msgspec.convert(data, kind, dec_hook=_decode_other)
        finally:
            _built.add(kind)


def _refuse_unknown_keys(value: object, data: Any, path: str) -> None:  # noqa: ANN401  # JSON
    """Refuse keys that the types do not have, which would otherwise be ignored silently."""
    if isinstance(value, tuple):
        if value and (is_dataclass(value[0]) or isinstance(value[0], tuple | msgspec.Struct)):
            for number, (part, its_data) in enumerate(zip(value, data, strict=True)):
                _refuse_unknown_keys(part, its_data, f"{path}[{number}]")
    elif isinstance(value, msgspec.Struct):  # whose own keys msgspec has seen to
        for name in {*value.__struct_fields__} & data.keys():
            _refuse_unknown_keys(getattr(value, name), data[name], f"{path}.{name}".lstrip("."))
    elif is_dataclass(value):
        names = {field.name for field in fields(value)}
        if unknown := data.keys() - names - {*_derived(type(value))}:
            raise UnreadableError(path, f"unknown key {min(unknown)!r}")
        for name in names & data.keys():
            _refuse_unknown_keys(getattr(value, name), data[name], f"{path}.{name}".lstrip("."))


def _unreadable(error: msgspec.ValidationError) -> UnreadableError:
    """Return msgspec's error with the whole path of the value."""
    text = str(error)
    match = _PATH.search(text)
    path, reason = (match["path"], text[: match.start()]) if match else ("", text)
    if isinstance(error.__cause__, UnreadableError):
        path, reason = f"{path}.{error.__cause__.path}".rstrip("."), error.__cause__.reason
    return UnreadableError(path.lstrip("."), reason[:1].lower() + reason[1:])


def _decode_other(kind: type[Any], data: Any) -> Any:  # noqa: ANN401  # of a type that msgspec does not know
    if issubclass(kind, OwnForm):
        return kind.from_json(data)
    return data  # what was supplied


def schema(kind: type[Any], title: str) -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of a dataclass's JSON form."""
    kinds = [*_reachable(kind)]
    derived = {(member, name): _result(member, name) for member in kinds for name in _derived(member)}
    described, definitions = msgspec.json.schema_components(
        [*kinds, *derived.values()], schema_hook=_schema_of_other, ref_template="#/$defs/{name}"
    )
    by_kind = {
        member: definitions[reference["$ref"].rpartition("/")[2]]
        for member, reference in zip(kinds, described, strict=False)
    }
    for member, form in by_kind.items():
        for field in fields(member):
            if not is_stored(field):
                del form["properties"][field.name]
                form["required"] = [name for name in form.get("required", ()) if name != field.name]
    for (member, name), result in zip(derived, described[len(kinds) :], strict=True):
        by_kind[member]["properties"][name] = {**result, "readOnly": True}
    dialect = "https://json-schema.org/draft/2020-12/schema"
    return {"$schema": dialect, "title": title, **described[0], "$defs": dict(sorted(definitions.items()))}


def _schema_of_other(kind: type[Any]) -> dict[str, Any]:
    return dict(kind.JSON_SCHEMA) if issubclass(kind, OwnForm) else {"type": "string"}  # not stored, so left out


def _reachable(kind: Any) -> Iterator[type[Any]]:  # noqa: ANN401  # any annotation
    """Yield the dataclasses that a type contains, each once, the type itself first."""
    waiting, seen = [kind], set()
    while waiting:
        candidate = waiting.pop(0)
        waiting += get_args(candidate)
        if not isinstance(candidate, type) or candidate in seen:
            continue
        seen.add(candidate)
        if is_dataclass(candidate):
            yield candidate
            waiting += [
                *get_type_hints(candidate).values(),
                *(_result(candidate, name) for name in _derived(candidate)),
            ]


def _result(kind: type[Any], name: str) -> Any:  # noqa: ANN401  # any annotation
    """Return the type of a property."""
    return get_type_hints(getattr(kind, name).fget)["return"]
