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
        absent = result.get("default", ...) is None or (result.get("default") in ([], {}) and _has_a_minimum(result))
        return {name: value for name, value in result.items() if not (absent and name == "default")}

    def dict_schema(self, schema: core_schema.DictSchema) -> JsonSchemaValue:
        result = super().dict_schema(schema)
        if "patternProperties" in result:
            result.pop("propertyNames", None)
            result["additionalProperties"] = False
        return result

    def field_title_should_be_set(self, schema: object) -> bool:  # noqa: ARG002
        return False


def _has_a_minimum(part: JsonSchemaValue) -> bool:
    """Whether what is empty is not valid: it stands for a key that is left out."""
    forms = [part, *part.get("anyOf", ()), *part.get("oneOf", ())]
    return any("minItems" in form or "minProperties" in form for form in forms)


def schema() -> dict[str, Any]:
    """Return the schema, generated from the models."""
    generated = Topology.model_json_schema(schema_generator=_Generator)
    return {"$schema": _Generator.schema_dialect, "title": "testbed topology", **generated}
