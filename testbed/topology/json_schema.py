"""The JSON Schema of the topology file, for editors. It ships as `schema.json`, which a test keeps up to date."""

from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from testbed.topology.models import Topology


class _Generator(GenerateJsonSchema):
    """Describes the file rather than the models: a key without a value is left out, never null."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        result = super().default_schema(schema)
        return {name: value for name, value in result.items() if (name, value) != ("default", None)}

    def dict_schema(self, schema: core_schema.DictSchema) -> JsonSchemaValue:
        result = super().dict_schema(schema)
        result.pop("propertyNames", None)
        return {**result, "additionalProperties": False}

    def field_title_should_be_set(self, schema: object) -> bool:  # noqa: ARG002
        return False


def schema() -> dict[str, Any]:
    """Return the schema, generated from the models."""
    generated = Topology.model_json_schema(schema_generator=_Generator)
    return {"$schema": _Generator.schema_dialect, "title": "testbed topology", **generated}
