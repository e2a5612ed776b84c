"""The base of all models of the topology file."""

from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Annotated, Any, NamedTuple

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    TypeAdapter,
    ValidationInfo,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import core_schema

DEFERRED = ConfigDict(defer_build=True)
"""Of what validates: it is built when it is first used."""


class Model(BaseModel):
    """A mapping of the file. Fields carry their unit (`delay_ns`); their alias is the file's word (`delay`)."""

    model_config = ConfigDict(frozen=True, extra="forbid", **DEFERRED)


class EmptyIsDefault:
    """Annotates a model: a key without a value (`wan:`) stands for the model's defaults, as `wan: {}` does."""

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        """Nothing becomes an empty mapping."""
        return core_schema.no_info_before_validator_function(_filled, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """The model's schema, or null."""
        return {"anyOf": [handler(schema), {"type": "null"}]}


def _filled(value: object) -> object:
    return {} if value is None else value


@dataclass(frozen=True, slots=True, eq=False)
class Short:
    """Annotates a model, or a union of models: a value that is no mapping stands for a mapping with it at one key.

    Attributes:
        key: that key.
        schema: what the JSON Schema says of such a value.
    """

    key: str
    schema: JsonSchemaValue

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        """A mapping as it is, anything else at its key."""
        return core_schema.no_info_before_validator_function(self._long, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Either form."""
        return {"anyOf": [self.schema, handler(schema)]}

    def _long(self, value: object) -> object:
        return value if isinstance(value, dict | Model) else {self.key: value}


@dataclass(frozen=True, slots=True)
class Recorded:
    """Annotates a part of the file: its model is kept in the context's `models`, by the identity of the raw data.

    Rules about several parts then find the models that validation has made, also where other parts are not valid.
    """

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        """Validate as without this, and record."""
        return core_schema.with_info_wrap_validator_function(self._record, handler(source))

    def _record(
        self, value: object, handler: core_schema.ValidatorFunctionWrapHandler, info: ValidationInfo[Any]
    ) -> object:
        model = handler(value)
        if info.context is not None:
            info.context.models[id(value)] = model
        return model


@dataclass(frozen=True, slots=True)
class OnDemand:
    """Annotates a section of the file, a list: the models of its entries are made when a file has the section.

    To import and build the models of links, workloads and events takes longer than a small lab needs to come up.

    Attributes:
        module, name: where the annotation of an entry is.
    """

    module: str
    name: str

    @property
    def annotation(self) -> Any:  # noqa: ANN401
        """The annotation of the section, with that of its entries."""
        entry: Any = getattr(import_module(self.module), self.name)
        return tuple[Annotated[entry, Recorded()], ...]

    def __get_pydantic_core_schema__(self, _source: object, _handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        """Validate with the models that are made then."""
        return core_schema.with_info_plain_validator_function(self._validated)

    def __get_pydantic_json_schema__(
        self, _schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """The schema of the section."""
        return handler(_adapter(self).core_schema)

    def _validated(self, value: object, info: ValidationInfo[Any]) -> object:
        return _adapter(self).validate_python(value, context=info.context)


@cache
def _adapter(section: OnDemand) -> TypeAdapter[Any]:
    return TypeAdapter(section.annotation)


class Fault(NamedTuple):
    """An error in a value, or a contradiction between values.

    Attributes:
        path: keys from the model where it was found (in a rule: from the top of the file) to the value at fault.
        code: kebab-case name of the kind of fault.
        said: follows the path in the message.
        hint: what to write instead; empty where nothing can be said.
        at_key: the fault is the key's, not its value's.
        offset: of the fault within a text, in characters.
    """

    path: tuple[str | int, ...]
    code: str
    said: str
    hint: str = ""
    at_key: bool = False
    offset: int = 0

    def under(self, *path: str | int) -> "Fault":
        """Return the same fault with its path relative to the enclosing model, which has this one at `path`."""
        return self._replace(path=(*path, *self.path))


def key(
    description: str,
    *,
    alias: str | None = None,
    default: Any = ...,  # noqa: ANN401
    written: Any = None,  # noqa: ANN401
    example: Any = None,  # noqa: ANN401
) -> Any:  # noqa: ANN401
    """A field of a model. Editors show what is known of it, from the JSON Schema.

    Args:
        description: what it is.
        alias: the file's word for it; the field's name unless given.
        default: its value where the file has none; without one the key must be given.
        written: how the file would write `default`.
        example: a value as the file would write it, for fields that show neither a default nor examples of their type.
    """
    extra: dict[str, Any] = {}
    if written is not None:
        extra["default"] = written
    if example is not None:
        extra["examples"] = [example]
    return Field(default=default, alias=alias, description=description, json_schema_extra=extra or None)
