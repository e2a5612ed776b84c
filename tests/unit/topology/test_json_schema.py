"""The JSON Schema judges files as the testbed does, says an independent validator, and has all that editors show."""

import re
from pathlib import Path

import jsonschema
import pytest
import yaml

from testbed.errors import UsageError
from testbed.topology import loads, schema

ROOT = Path(__file__).parents[3]
TOPOLOGIES = sorted((ROOT / "topologies").glob("*.yml"))
EXAMPLES = sorted((ROOT / "examples").rglob("network.yml"))
VALIDATOR = jsonschema.Draft202012Validator(schema())

WRONG = {
    "nothing": "name: x",
    "no name": "nodes: {a: }",
    "a name with a capital": "{name: X, nodes: {a: }}",
    "an unknown key at the top": "{name: x, nodes: {a: }, sede: 1}",
    "an unknown key of a node": "{name: x, nodes: {a: {imgae: nginx}}}",
    "an unknown key of a link": "{name: x, nodes: {a: , b: }, links: [{between: [a, b], dealy: 40ms}]}",
    "a link with one end": "{name: x, nodes: {a: , b: }, links: [{between: [a]}]}",
    "a number without a unit": "{name: x, nodes: {a: , b: }, links: [{between: [a, b], delay: 40}]}",
    "a wrong unit": "{name: x, nodes: {a: , b: }, links: [{between: [a, b], rate: 40ms}]}",
    "a loss without a percent sign": "{name: x, nodes: {a: , b: }, links: [{between: [a, b], loss: 0.02}]}",
    "an unknown runtime": "{name: x, nodes: {a: }, runtime: podman}",
    "an unknown kind": "{name: x, nodes: {a: }, workloads: [{name: w, kind: tcp, from: a, to: a}]}",
    "a key of another kind": "{name: x, nodes: {a: }, workloads: [{name: w, kind: ping, from: a, to: a, tls: true}]}",
    "a workload without ends": "{name: x, nodes: {a: , b: }, workloads: [{name: w, kind: ping}]}",
    "too small an MTU": "{name: x, networks: {lan: {mtu: 500}}, nodes: {a: }}",
    "no group": "{name: x, nodes: {a: {count: 0}}}",
    "an event without a time": "{name: x, nodes: {a: , b: }, timeline: [{heal: all}]}",
    "an unknown profile": "{name: x, nodes: {a: , b: }, links: [{between: [a, b], profile: 5g}]}",
    "a negative seed": "{name: x, nodes: {a: }, seed: -1}",
    "nodes as a list": "{name: x, nodes: [a, b]}",
}
"""Files that are wrong, by what is."""


def properties(part):
    if isinstance(part, dict):
        yield from part.get("properties", {}).items()
        for value in part.values():
            yield from properties(value)
    if isinstance(part, list):
        for value in part:
            yield from properties(value)


def test_every_key_is_described():
    found = dict(properties(schema()))
    assert {"between", "delay", "together", "subnet", "connect"} <= found.keys()
    for name, about in properties(schema()):
        assert about.get("description"), name


def shown(about):
    """Values that editors show of a key: its default, and examples of each of its forms."""
    yield from about.get("examples", ())
    yield from (about[name] for name in ("default", "const") if name in about)
    for form in (*about.get("anyOf", ()), *about.get("oneOf", ())):
        yield from shown(form)


def test_every_key_has_a_default_or_an_example_that_is_valid():
    definitions = schema()["$defs"]
    for name, about in properties(schema()):
        values = [*shown(about)]
        assert values, name
        for value in values:
            VALIDATOR.evolve(schema={**about, "$defs": definitions}).validate(value)


def test_it_is_a_schema():
    jsonschema.Draft202012Validator.check_schema(schema())


@pytest.mark.parametrize("path", [*TOPOLOGIES, *EXAMPLES], ids=lambda path: str(path.relative_to(ROOT)))
def test_files_that_ship_are_valid(path):
    VALIDATOR.validate(yaml.safe_load(path.read_text()))


@pytest.mark.parametrize("text", WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_wrong_in_editors_too(text):
    assert not VALIDATOR.is_valid(yaml.safe_load(text))
    with pytest.raises(UsageError):
        loads(text, "wrong.yml")


def test_quantities_have_a_pattern_that_their_examples_match():
    for name in ("delay", "loss", "rate"):
        about = schema()["$defs"]["Pair"]["properties"][name]
        about = next((form for form in about.get("anyOf") or about.get("oneOf") or () if "pattern" in form), about)
        assert about["examples"]
        for example in about["examples"]:
            assert re.search(about["pattern"], example)
        assert not re.search(about["pattern"], "40")


def test_nothing_unknown_and_nothing_empty_is_allowed():
    for about in schema()["$defs"].values():
        assert about["additionalProperties"] is False
    assert "null" not in str(schema()["$defs"]["Pair"])


def test_defaults_are_written_as_in_the_file():
    assert schema()["$defs"]["UdpStream"]["properties"]["rate"]["default"] == "1mbit"
    assert schema()["$defs"]["ReadyKeys"]["properties"]["timeout"]["default"] == "10s"


@pytest.mark.parametrize("path", TOPOLOGIES, ids=lambda path: path.stem)
def test_shipped_files_point_editors_at_it(path):
    assert path.read_text().startswith("# yaml-language-server: $schema=../testbed/topology/schema.json\n")
