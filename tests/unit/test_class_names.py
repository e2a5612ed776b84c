"""Each class has a name of its own, so that a reader knows by the name which one is meant."""

import ast
from collections import defaultdict

from tests.conftest import ROOT

SHARED = {
    "Client": "a role in a kind of workload: the registry finds the class by this name (`testbed.kinds`)",
}
"""The names that several files may define, each with the reason."""


def places_by_class_name():
    places = defaultdict(list)
    for path in sorted((ROOT / "testbed").rglob("*.py")):
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.ClassDef):
                places[node.name].append(str(path.relative_to(ROOT)))
    return places


def test_no_two_files_define_a_class_of_the_same_name():
    shared = {name: places for name, places in places_by_class_name().items() if len(places) > 1}
    assert {name: places for name, places in shared.items() if name not in SHARED} == {}
    assert [*shared] == [*SHARED], "a name that is no longer shared needs no reason"
