"""A run.json that somebody altered: every command ends in a result or in `run-unreadable`, never in a traceback."""

import copy
import json
import os
import shutil
from pathlib import Path
from random import Random

import pytest
from click.testing import CliRunner

from testbed.cli import cli
from testbed.errors import UsageError
from testbed.plan import relocate
from testbed.runs.reading import load
from testbed.runs.run import RUN_FILE

KEPT = Path(__file__).parent.parent / "fixtures" / "run-of-version-1"
VALUES: tuple[object, ...] = (
    None,
    True,
    -1,
    0,
    3.5,
    1e300,
    10**20,
    "",
    "text",
    "../../x",
    [],
    [1],
    ["text"],
    {},
    {"a": 1},
    [[]],
    [{}],
)
SEEDS = int(os.environ.get("TESTBED_ALTERED_RUNS", "300"))
PARTS = 6


def places(value, path=()):
    """The path of every value in a JSON document."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*path, key)
        yield from places(inner, (*path, key))


def altered(document, random):
    """A copy of the document with one to three values replaced, removed, or said twice."""
    document = copy.deepcopy(document)
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        *parents, key = random.choice(list(places(document)))
        parent = document
        for step in parents:
            parent = parent[step]
        how = random.randrange(6)
        if how == 0:
            del parent[key]
        elif how == 1 and isinstance(parent, list):
            parent.append(copy.deepcopy(parent[key]))
        elif how == 2:
            other = document
            for step in random.choice(list(places(document))):
                other = other[step]
            parent[key] = copy.deepcopy(other)
        else:
            parent[key] = random.choice(VALUES)
    return document


def show(altered, _whole):
    assert json.loads(json.dumps(load(altered).to_json()))


def write_report(altered, _whole):
    call("report", altered)


def compare(altered, whole):
    call("compare", whole, altered, "--different-plans", "--html", altered.parent / "compare.html")


def replay(altered, _whole):
    relocate(load(altered).plan, ())


def export(altered, _whole):
    call("export", altered, "-o", altered.parent / "run.zip")


def call(*arguments):
    result = CliRunner().invoke(cli, list(map(str, arguments)), standalone_mode=False)
    if result.exception is not None:
        raise result.exception


@pytest.mark.parametrize("part", range(PARTS))
def test_an_altered_run_is_read_and_used_or_is_unreadable(tmp_path, part):
    document = json.loads((KEPT / RUN_FILE).read_text())
    directory = tmp_path / "altered"
    shutil.copytree(KEPT, directory)
    failed: dict[str, list[tuple[int, str]]] = {}
    for seed in range(part, SEEDS, PARTS):
        (directory / RUN_FILE).write_text(json.dumps(altered(document, Random(seed))))
        for command in (show, write_report, compare, replay, export):
            try:
                command(directory, KEPT)
            except UsageError as error:
                if error.code not in ("run-unreadable", "run-incomplete"):
                    failed.setdefault(command.__name__, []).append((seed, str(error)))
                if error.code == "run-unreadable":
                    break
            except Exception as error:  # noqa: BLE001  # what this is about
                failed.setdefault(command.__name__, []).append((seed, repr(error)))
    assert not failed
