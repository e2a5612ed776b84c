"""The base of all models of the topology file."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationInfo
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import core_schema


class Model(BaseModel):
    """A mapping of the file. Fields carry their unit (`delay_ns`); their alias is the file's word (`delay`)."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


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
