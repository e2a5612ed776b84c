"""What all models of the topology file have in common."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import core_schema


class Model(BaseModel):
    """A mapping of the file. Fields carry their unit (`delay_ns`); their alias is the file's word (`delay`)."""

    model_config = ConfigDict(frozen=True, extra="forbid")


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


def key(description: str, *, alias: str | None = None, default: Any = ..., written: str | None = None) -> Any:  # noqa: ANN401
    """A field of a model.

    Args:
        description: shown by editors, from the JSON Schema.
        alias: the file's word for it; the field's name unless given.
        default: its value where the file has none; without one the key must be given.
        written: how the file would write `default`, for the JSON Schema.
    """
    extra: dict[str, Any] | None = None if written is None else {"default": written}
    return Field(default=default, alias=alias, description=description, json_schema_extra=extra)
