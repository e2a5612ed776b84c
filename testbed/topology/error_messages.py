"""Translation of pydantic's validation errors to messages with a place in the file."""

import difflib
import re
from collections.abc import Callable, Collection, Container, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import replace
from itertools import islice
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel, Tag, ValidationError
from pydantic_core import ErrorDetails

from testbed.topology.base import Fault, OnDemand
from testbed.topology.document import Document, Path
from testbed.topology.models import Topology
from testbed.topology.problems import Problem, nearest, quote
from testbed.topology.values import describe

_EXPECTED = {
    "int_type": "a whole number",
    "string_type": "text",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "mapping_type": "a mapping (key: value)",
    "dict_type": "a mapping (key: value)",
    "model_type": "a mapping (key: value)",
}


_OTHER_WORDS = {
    "bandwidth": "rate",
    "latency": "delay",
    "packet_loss": "loss",
    "env": "environment",
    "exec": "setup",
    "forward": "router",
    "ipv6": "ip",
}
"""Keys that other tools have, and ours for the same."""


def show(path: Path) -> str:
    """Return `path` as messages show it: `links[0].between[1]`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += "." * bool(text) + (part if re.fullmatch(r"[\w.-]{1,40}", part) else quote(part))
    return text or ("the file" if _ROOT.get() is Topology else "it")


def located(fault: Fault, document: Document) -> Problem:
    """Return the problem of a fault, with its place in the text."""
    message = f"{show(fault.path)} {fault.said}"
    problem = document.problem(fault.path, fault.code, message, fault.hint, at_key=fault.at_key)
    if not fault.offset:
        return problem
    line, column = document.place_within(fault.path, fault.offset)
    return replace(problem, line=line, column=column)


def translate(error: ValidationError, document: Document, model: type[BaseModel] = Topology) -> list[Problem]:
    """Return the problems in pydantic's error from validating a document by a model."""
    previous = _ROOT.set(model)
    try:
        return [*_translated(error, document)]
    finally:
        _ROOT.reset(previous)


_ROOT: ContextVar[type[BaseModel]] = ContextVar("model of a document", default=Topology)


def _translated(error: ValidationError, document: Document) -> Iterator[Problem]:
    details = error.errors(include_url=False)
    meant = {(name, detail["loc"][:-1]) for detail in details for name in _meant(detail)}
    for detail in details:
        if detail["type"] == "missing" and _is_misspelled(detail["loc"], meant):
            continue
        path, is_key = _path(detail["loc"], document)
        if "problems" in detail.get("ctx", {}):  # of a file that the document names, at their places there
            yield from detail["ctx"]["problems"]
            continue
        say = _SAYINGS.get(detail["type"], _say_value)
        if is_key:
            said = detail["ctx"]["said"] if "said" in detail.get("ctx", {}) else f"is {quote(path[-1])}"
            hint = detail.get("ctx", {}).get("hint", "")
            yield document.problem(path, detail["type"], f"{show(path[:-1])}: a key {said}", hint, at_key=True)
        elif (problem := say(detail, path, document)) is not None:
            yield problem


def foreign(document: Document) -> Iterator[Problem]:
    """Yield the one problem of a file that is something else than a topology."""
    data = document.data
    if not isinstance(data, dict) or not data.keys() - {"name"} or data.keys() & _fields(Topology).keys() - {"name"}:
        return
    if any(difflib.get_close_matches(str(key), ("nodes", "links", "networks"), 1) for key in islice(data, _LOOKED_AT)):
        return
    said, hint = "has no key of a topology", "a topology has at least `name:` and `nodes:`"
    if isinstance(data.get("services"), dict):
        said = "is a compose file"
        hint = f"compose: {{file: {document.name}}} in a topology brings it up; testbed import makes a topology of it"
    elif isinstance(data.get("topology"), dict):
        said, hint = "is a containerlab file", f"testbed import {document.name} makes a topology of it"
    yield document.problem((), "no-topology", f"the file {said}", hint)


_LOOKED_AT = 20
"""Keys of a file in which to look for misspelled ones."""

_ENTRIES = {("networks", "*"), ("nodes", "*"), ("nodes", "*", "networks", "*")}
"""Where a key without a value stands for defaults."""


def valueless(document: Document) -> Iterator[Problem]:
    """Yield a problem for each key that lacks its value."""
    for path, place in document.places.items():
        value = document.value(path)
        pattern = tuple("*" if depth % 2 else part for depth, part in enumerate(path))
        if value is None and path and pattern not in _ENTRIES:
            hint = "give it a value, or leave it out"
            yield Problem(place.file, *place.value, "no-value", f"{show(path)} has no value", hint)


def _path(loc: tuple[int | str, ...], document: Document) -> tuple[Path, bool]:
    """Return the path of pydantic's `loc` in the data, without names of union members, and whether it means the key."""
    path: Path = ()
    for part in loc:
        if (*path, part) in document.places:
            path = (*path, part)
    return path, loc[-1:] == ("[key]",)


def _say_missing(detail: ErrorDetails, path: Path, document: Document) -> Problem:
    name = str(detail["loc"][-1])
    model = _model(detail["loc"][:-1])
    hint = f"{name}: {_fields(model)[name].description}" if model else ""
    return document.problem(path, "missing-key", f"{show(path)} lacks {quote(name)}", hint)


def _meant(detail: ErrorDetails) -> list[str]:
    """Return the key that an unknown one stands for, if one is alike."""
    if detail["type"] != "extra_forbidden":
        return []
    name, keys = str(detail["loc"][-1]), _keys(detail["loc"][:-1])
    if (other := _OTHER_WORDS.get(name)) in keys:
        return [str(other)]
    return _containing(name, detail["loc"][:-1]) or difflib.get_close_matches(name, keys, 1)


def _containing(name: str, loc: tuple[int | str, ...]) -> list[str]:
    """Return the keys of the mapping at pydantic's `loc` whose values can have this key."""
    return [key for key in _keys(loc) if name in _keys((*loc, key))]


def _is_misspelled(loc: tuple[int | str, ...], meant: Container[tuple[str, tuple[int | str, ...]]]) -> bool:
    """Whether a missing key, or one of another form of the same mapping, is there in another spelling."""
    others = _keys(loc[:-1]).keys() - _fields(_model(loc[:-1]) or _ROOT.get()).keys()
    return any((key, loc[:-1]) in meant for key in (str(loc[-1]), *others))


def _say_unknown_key(detail: ErrorDetails, path: Path, document: Document) -> Problem:
    *above, name = detail["loc"]
    loc, name = tuple(above), str(name)
    keys, model = _keys(loc), _model(loc)
    meant = _meant(detail)
    if places := _containing(name, loc):
        written = (f"{place}: {{{name}: ...}}" for place in places)
        hint = f"it is a key of {' and '.join(places)}: write {' or '.join(written)}"
    elif name in keys and model:  # of mappings of another form
        hint = nearest("", _fields(model), "keys")
    else:
        hint = nearest(meant[0] if name in _OTHER_WORDS and meant else name, keys, "keys") if keys else ""
    return document.problem(path, "unknown-key", f"{show(path[:-1])} has no key {quote(name)}", hint, at_key=True)


def _say_choice(detail: ErrorDetails, path: Path, document: Document) -> Problem:
    allowed = re.findall(r"'([^']*)'", detail["ctx"]["expected"])
    message = f"{show(path)} {describe(detail['input'])}, which is not one of its values"
    return document.problem(path, "unknown-value", message, nearest(str(detail["input"]), allowed, "values"))


def _say_kind(detail: ErrorDetails, path: Path, document: Document) -> Problem:
    workload = detail["input"]
    if not isinstance(workload, Mapping):
        return document.problem(
            path, "wrong-type", f"{show(path)} {describe(workload)}, must be a mapping (key: value)"
        )
    if "kind" not in workload:
        for name in difflib.get_close_matches("together", map(str, workload), 1):
            message = f"{show(path)} has no key {quote(name)}"
            return document.problem((*path, name), "unknown-key", message, 'did you mean "together"?', at_key=True)
        hint = nearest("", _kinds(), "kinds")
        return document.problem(path, "missing-key", f'{show(path)} lacks "kind"', hint)
    found = workload["kind"]
    message = f"{show(path)}.kind {describe(found)}, which is not a kind of workload"
    return document.problem((*path, "kind"), "unknown-kind", message, nearest(str(found), _kinds(), "kinds"))


def _say_length(detail: ErrorDetails, path: Path, document: Document) -> Problem | None:
    limits, length = detail["ctx"], len(detail["input"])
    if limits.get("min_length", 0) <= length <= limits.get("max_length", length):
        return None  # items that are wrong themselves don't count for pydantic
    least = "min_length" in limits
    allowed = f"at least {limits['min_length']}" if least else f"at most {limits['max_length']}"
    noun = "entry" if length == 1 else "entries"
    return document.problem(path, "wrong-length", f"{show(path)} has {length} {noun}, must have {allowed}")


def _say_range(detail: ErrorDetails, path: Path, document: Document) -> Problem:
    words = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}
    name, limit = next((name, detail["ctx"][name]) for name in words if name in detail["ctx"])
    message = f"{show(path)} {describe(detail['input'])}, must be {words[name]} {limit}"
    return document.problem(path, "out-of-range", message)


def _say_value(detail: ErrorDetails, path: Path, document: Document) -> Problem:
    context = detail.get("ctx", {})
    if "said" in context:
        return document.problem(path, detail["type"], f"{show(path)} {context['said']}", context["hint"])
    expected = _EXPECTED.get(detail["type"])
    said = f"must be {expected}" if expected else detail["msg"]
    return document.problem(path, "wrong-type", f"{show(path)} {describe(detail['input'])}, {said}")


_SAYINGS: dict[str, Callable[[ErrorDetails, Path, Document], Problem | None]] = {
    "missing": _say_missing,
    "extra_forbidden": _say_unknown_key,
    "literal_error": _say_choice,
    "union_tag_invalid": _say_kind,
    "union_tag_not_found": _say_kind,
    "too_short": _say_length,
    "too_long": _say_length,
    "greater_than_equal": _say_range,
    "greater_than": _say_range,
    "less_than_equal": _say_range,
    "less_than": _say_range,
}


def _kinds() -> Collection[str]:
    from testbed.topology.workloads import KINDS  # noqa: PLC0415  # see OnDemand

    return KINDS


def _fields(model: type[BaseModel]) -> dict[str, Any]:
    """Return a model's fields by their keys in the file."""
    return {field.alias or name: field for name, field in model.model_fields.items()}


def _model(loc: tuple[int | str, ...]) -> type[BaseModel] | None:
    """Return the model of the mapping at pydantic's `loc`."""
    kind: Any = _ROOT.get()
    for part in loc:
        kind = _step(kind, part)
    kind = _bare(kind)
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def _keys(loc: tuple[int | str, ...]) -> dict[str, Any]:
    """Return the allowed keys of the mapping at pydantic's `loc`, in any of its forms; a workload's in its kind."""
    tag = str(loc[-1]) if loc else ""
    models = [_model(loc)] if _model(loc) else [_model((*loc, form)) for form in _tags(loc)]
    if tag.startswith("<") and tag[1:-1] not in (*_kinds(), "wire"):  # a wire is none that may lack its first key
        models += [_model((*loc[:-1], other)) for other in _tags(loc[:-1])]
    return {name: field for model in models if model for name, field in _fields(model).items()}


def _tags(loc: tuple[int | str, ...]) -> list[str]:
    """Return the members of the union at pydantic's `loc`."""
    kind: Any = _ROOT.get()
    for part in loc:
        kind = _step(kind, part)
    return [
        mark.tag for one in get_args(_bare(kind)) for mark in getattr(one, "__metadata__", ()) if isinstance(mark, Tag)
    ]


def _step(annotation: Any, part: int | str) -> Any:  # noqa: ANN401
    """The annotation of what `part` leads to within `annotation`: a key, an index, or a member of a union."""
    annotation = _bare(annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        field = _fields(annotation).get(str(part))
        sections = [mark for mark in field.metadata if isinstance(mark, OnDemand)] if field else []
        return sections[0].annotation if sections else field and field.annotation
    members = get_args(annotation)
    tagged = [one for one in members if get_origin(one) is Annotated and Tag(str(part)) in one.__metadata__]
    if tagged:
        return tagged[0]
    if get_origin(annotation) in (tuple, Mapping):
        return members[-1] if get_origin(annotation) is Mapping else members[0]
    return None


def _bare(annotation: Any) -> Any:  # noqa: ANN401
    """Return `annotation` without its metadata and without `None`."""
    while True:
        members = get_args(annotation)
        if get_origin(annotation) is Annotated:
            annotation = members[0]
        elif type(None) in members:
            annotation = next(one for one in members if one is not type(None))
        else:
            return annotation
