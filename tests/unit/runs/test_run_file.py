"""run.json: read as its types say, described by the schema that ships, also where an earlier version wrote it."""

import json
import shutil
from pathlib import Path

import jsonschema
import pytest

from testbed import codec
from testbed.errors import UsageError
from testbed.runs import RunWriter, load
from testbed.runs.run import run_schema
from testbed.runs.upgrade import upgraded

KEPT = Path(__file__).parents[2] / "fixtures" / "run-of-version-1"


@pytest.fixture
def kept(tmp_path):
    directory = tmp_path / "kept"
    shutil.copytree(KEPT, directory)
    return directory


def data_of(directory):
    return json.loads((directory / "run.json").read_text())


def lacks(found, wanted, path=""):
    """The paths of values in `wanted` that `found` has not or has otherwise; what it has beside them is fine."""
    if isinstance(wanted, dict):
        missing = [f"{path}.{name}" for name in wanted.keys() - found.keys()]
        return missing + [
            each for name in wanted.keys() & found.keys() for each in lacks(found[name], wanted[name], f"{path}.{name}")
        ]
    if isinstance(wanted, list) and len(found) == len(wanted):
        return [each for number, part in enumerate(wanted) for each in lacks(found[number], part, f"{path}[{number}]")]
    return [] if found == wanted else [path]


def test_a_run_that_the_version_before_wrote_is_read_whole(kept):
    run = load(kept)
    data = upgraded(data_of(kept))
    of_today = [f".checks[{number}].verdict" for number in range(len(run.checks))]  # derived: in the words of today
    assert [path for path in lacks(run.to_json(), data) if path not in of_today] == []
    assert run.is_whole
    assert [summary.workload for summary in run.summaries] == ["probe", "rpc", "voice"]
    assert codec.encode(run.statistics_after[0].counts)["packets_in"] > 0


@pytest.fixture
def written(tmp_path, plan, voice, statistics):
    with RunWriter(tmp_path, plan, runtime="netns") as writer:
        writer.begun(statistics)
        writer.ended(voice)
        writer.finished(statistics, ["a reason"])
    return writer.run.path


def test_runs_are_as_the_schema_says(kept, written):
    schema = run_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    for data in (load(kept).to_json(), data_of(written)):
        jsonschema.validate(data, schema)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda run: run.pop("status"), "object missing required field `status`"),
        (lambda run: run.update(status="done"), "status: invalid enum value 'done'"),
        (lambda run: run.update(started="noon"), "Invalid isoformat string: 'noon'"),
        (lambda run: run["plan"]["links"][0].update(seed="x"), "plan.links[0].seed: expected `int`, got `str`"),
        (
            lambda run: run["plan"]["links"][0]["impairments"]["loss"].pop("to_bad"),
            "plan.links[0].impairments.loss: object missing required field `to_bad`",
        ),
        (
            lambda run: run["plan"]["networks"][0].update(gateway="x"),
            "plan: 'x' does not appear to be an IPv",
        ),
        (lambda run: run["plan"].update(seed=8), "plan_digest: "),
        (lambda run: run["plan"].update(lab="../x"), "'../x' is not a valid name"),
        (lambda run: run["summaries"][1]["values"].update(sent="x"), "summaries[1]: sent is 'x', text"),
        (lambda run: run["checks"][0]["findings"][0].update(interval=[1]), "checks[0].findings[0].interval"),
        (lambda run: run["captures"][0].update(more=1), "captures[0]: unknown key 'more'"),
        (lambda run: run["checks"][1].update(source="x"), "checks[1]: the plan has no node 'x'"),
        (lambda run: run["summaries"][0].update(kind="ping"), "summaries[0]: the plan has no ping 'probe'"),
        (lambda run: run["captures"][0].update(file="../x"), "captures[0].file: '../x' is not in the run's directory"),
        (lambda run: run.update(version=9), "version: 9; this is for version 2"),
    ],
)
def test_data_of_a_wrong_type_is_refused_with_its_path(kept, change, said):
    data = load(kept).to_json()
    change(data)
    (kept / "run.json").write_text(json.dumps(data))
    with pytest.raises(UsageError, match="run-unreadable") as caught:
        load(kept)
    assert said.casefold() in caught.value.message.casefold()
