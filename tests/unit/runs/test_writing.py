import json
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from testbed.errors import LabError, UsageError
from testbed.runs import RunWriter, load


def write(root, plan, *, checks=(), distrust=()):
    with RunWriter(root, plan, runtime="netns") as writer:
        writer.checked(checks)
        writer.finished([], distrust)
    return writer.run


def test_a_whole_run_is_found_again(tmp_path, plan, make_check, voice, statistics):
    with RunWriter(tmp_path, plan, runtime="docker", versions={"Docker Engine": "28.2"}) as writer:
        writer.checked([make_check()])
        writer.begun(statistics)
        with writer.samples("voice") as record:
            record.write('{"event": "end"}\n')
        writer.ended(voice)
        writer.finished(statistics, [])
    run = load(writer.run.path)
    assert run == replace(writer.run, path=writer.run.path.resolve())
    assert (run.status, run.is_whole, run.trusted) == ("complete", True, True)
    assert re.fullmatch(r"\d{8}T\d{6}Z-[0-9a-f]{4}", run.path.name)
    assert run.path.parent == tmp_path / "lossy"
    assert (run.path / "samples" / "voice.jsonl").read_text() == '{"event": "end"}\n'
    assert run.summary("voice") == voice
    assert run.engines[0].why == "asked for"
    assert {"kernel", "python", "testbed", "Docker Engine"} <= run.versions.keys()
    assert {one.name for one in run.path.iterdir()} == {"run.json", "samples"}
    assert json.loads((run.path / "run.json").read_text())["plan_digest"] == plan.digest


def test_while_it_goes_on_it_does_not_look_whole(tmp_path, plan):
    with RunWriter(tmp_path, plan, runtime="netns") as writer:
        assert writer.run.path.name.endswith(".partial")
        killed = load(writer.run.path)
        assert (killed.status, killed.is_whole, killed.trusted) == ("running", False, False)
        assert not (tmp_path / "latest").exists()
        with pytest.raises(UsageError, match="no-such-run"):
            load("lossy", tmp_path)


def begin_and_raise(writer, voice, error):
    writer.samples("voice").close()
    writer.ended(voice)
    raise error


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (LabError("endpoint-died", "client died"), "failed"),
        (KeyboardInterrupt(), "interrupted"),
        (SystemExit(143), "interrupted"),
    ],
)
def test_a_failed_run_is_kept_and_marked_incomplete(tmp_path, plan, voice, error, status):
    whole = write(tmp_path, plan)
    writer = RunWriter(tmp_path, plan, runtime="netns")
    with pytest.raises(type(error)), writer:
        begin_and_raise(writer, voice, error)
    run = load(writer.run.path)
    assert error.__notes__ == [f"what was recorded until then is in {writer.run.path}"]
    assert run.ending == ("failed: endpoint-died: client died" if status == "failed" else "was interrupted")
    assert run.path.name.endswith(".incomplete")
    assert (run.status, run.is_whole) == (status, False)
    assert run.error
    assert run.summaries == (voice,)
    assert (run.path / "samples" / "voice.jsonl").exists()
    assert load("latest", tmp_path).path == load("lossy", tmp_path).path == whole.path.resolve()


def test_the_latest_is_the_last_whole_one_of_any_lab(tmp_path, plan):
    first = write(tmp_path, plan)
    other = write(tmp_path, replace(plan, lab="slow"))
    assert load("latest", tmp_path).path == other.path.resolve()
    assert load("lossy", tmp_path).path == first.path.resolve()
    again = write(tmp_path, plan)
    assert load("latest", tmp_path).path == load("lossy", tmp_path).path == again.path.resolve()
    assert not (tmp_path / "latest").readlink().is_absolute()
    assert {one.name for one in tmp_path.iterdir()} == {"latest", "lossy", "slow"}


def test_the_latest_moves_with_the_results(tmp_path, plan):
    write(tmp_path / "results", plan)
    (tmp_path / "results").rename(tmp_path / "moved")
    assert load("latest", tmp_path / "moved").plan == plan


def test_a_run_with_a_bad_link_or_a_late_engine_is_not_trusted(tmp_path, plan, make_check):
    assert write(tmp_path, plan, checks=[make_check()]).trusted
    assert not write(tmp_path, plan, checks=[make_check(delay_ns=30_000_000)]).trusted
    assert not write(tmp_path, plan, checks=[make_check()], distrust=["too late"]).trusted


def test_workloads_that_end_at_once_are_all_noted(tmp_path, plan, voice):
    names = {f"w{number}" for number in range(200)}
    many = replace(plan, stages=(tuple(replace(plan.workloads[0], name=name) for name in names),))
    with RunWriter(tmp_path, many, runtime="netns") as writer, ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: writer.ended(replace(voice, workload=name)), names))
    assert {summary.workload for summary in load(writer.run.path).summaries} == names


def test_samples_of_one_workload_are_not_overwritten(tmp_path, plan):
    with RunWriter(tmp_path, plan, runtime="netns") as writer:
        writer.samples("voice").close()
        with pytest.raises(FileExistsError):
            writer.samples("voice")


def test_a_lab_may_not_go_by_the_name_of_the_link(tmp_path, plan):
    with pytest.raises(UsageError, match="reserved-name"):
        RunWriter(tmp_path, replace(plan, lab="latest"), runtime="netns")


def test_the_log_says_where_a_run_is_and_why_it_is_not_trusted(tmp_path, plan, caplog):
    caplog.set_level("INFO", "testbed")
    run = write(tmp_path, plan, distrust=["too late"])
    assert caplog.messages[1:] == ["run is not trusted: too late", f"run is complete, in {run.path}"]
