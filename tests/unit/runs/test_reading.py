import json

import pytest

from testbed.errors import UsageError
from testbed.runs import RunWriter, load
from testbed.runs.reading import whole_runs


@pytest.fixture
def path(tmp_path, plan):
    with RunWriter(tmp_path, plan, runtime="netns") as writer:
        pass
    return writer.run.path


@pytest.mark.parametrize("name", ["lossy", "latest", "lossy/20261122T113000Z-7f3a", ".", ".."])
def test_a_missing_run_is_an_error(tmp_path, name):
    with pytest.raises(UsageError, match="no-such-run"):
        load(name, tmp_path / "none")


def test_the_hint_names_the_labs(tmp_path, path):
    with pytest.raises(UsageError, match="lossy") as caught:
        load("lossi", tmp_path)
    assert caught.value.hint == "labs with runs are: lossy"


def change(path, **fields):
    file = path / "run.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **fields}))


def test_another_version_is_refused(path):
    change(path, version=99)
    with pytest.raises(UsageError, match="99"):
        load(path)


def test_a_plan_that_was_changed_is_refused(path):
    data = json.loads((path / "run.json").read_text())
    change(path, plan={**data["plan"], "seed": 8})
    with pytest.raises(UsageError, match="digest"):
        load(path)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"version": 1}'])
def test_a_file_that_is_not_a_run_is_refused(path, text):
    (path / "run.json").write_text(text)
    with pytest.raises(UsageError, match="run-unreadable"):
        load(path)


def test_the_link_to_the_latest_run_is_no_run_of_a_lab(tmp_path, path):
    assert whole_runs(tmp_path / "lossy") == [path]
    assert whole_runs(tmp_path) == []
