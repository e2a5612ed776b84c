import re
from pathlib import Path

import pytest

from testbed.topology import schema

TOPOLOGIES = sorted((Path(__file__).parents[3] / "topologies").glob("*.yml"))


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
    assert schema()["$defs"]["Ready"]["properties"]["timeout"]["default"] == "10s"


@pytest.mark.parametrize("path", TOPOLOGIES, ids=lambda path: path.stem)
def test_shipped_files_point_editors_at_it(path):
    assert path.read_text().startswith("# yaml-language-server: $schema=../testbed/topology/schema.json\n")
