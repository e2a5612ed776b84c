"""What is generated and kept: the plan of every shipped topology, to the last integer, and the JSON Schemas.

A change in a plan changes what users' files mean. Where it is intended: `python -m tests.golden.test_golden`.
"""

import json
from pathlib import Path

import pytest

from testbed.plan import Plan, resolve
from testbed.runs.run import run_schema
from testbed.topology import find, load, schema

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
SHIPPED = sorted(path.stem for path in (ROOT / "topologies").glob("*.yml"))
SCHEMA = ROOT / "testbed" / "topology" / "schema.json"
RUN_SCHEMA = ROOT / "testbed" / "runs" / "run-schema.json"


def text(data):
    return json.dumps(data, indent=2) + "\n"


def planned(name):
    return resolve(load(find(name)))


def golden(plan):
    return text({"digest": plan.digest, "plan": plan.to_json()})


def test_the_shipped_topologies_are_all_here():
    kept = sorted(path.stem for path in HERE.glob("*.json"))
    assert kept == SHIPPED


@pytest.mark.parametrize("name", SHIPPED)
def test_plan(name):
    assert golden(planned(name)) == (HERE / f"{name}.json").read_text()


@pytest.mark.parametrize("name", SHIPPED)
def test_what_is_on_disk_is_read_back(name):
    kept = json.loads((HERE / f"{name}.json").read_text())
    plan = Plan.from_json(kept["plan"])
    assert plan == planned(name)
    assert plan.digest == kept["digest"]


def test_schema():
    assert text(schema()) == SCHEMA.read_text()


def test_run_schema():
    assert text(run_schema()) == RUN_SCHEMA.read_text()


if __name__ == "__main__":
    for name in SHIPPED:
        (HERE / f"{name}.json").write_text(golden(planned(name)))
    SCHEMA.write_text(text(schema()))
    RUN_SCHEMA.write_text(text(run_schema()))
