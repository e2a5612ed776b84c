"""Who makes which run, with pretended workers; tests/live/test_sweep_on_workers.py has real ones."""

import sys
from collections import deque
from types import SimpleNamespace
from typing import Any, cast

import pytest

import testbed
from testbed import topology
from testbed.errors import LabError, MachineError, UsageError
from testbed.runs import Run, archive
from testbed.sweep import Cell, SweepObserver, SweepOutcome, Trial
from testbed.sweep.cluster import dispatch
from testbed.sweep.cluster.connection import Cluster, Report, WorkerGoneError
from testbed.sweep.cluster.trial import Failure, Outcome
from testbed.sweep.cluster.worker import Greeting

CELLS = "links[0].loss=0%,1%,2%"


class Heard(SweepObserver):
    def __init__(self):
        self.started_on, self.whole, self.failures, self.again, self.notes = [], [], [], [], []

    def started(self, trial, number, _left_s, worker=""):
        self.started_on.append((trial.key, number, worker.split()[0]))

    def finished(self, run):
        self.whole.append((run.plan.lab, run.plan.seed))

    def failed(self, trial, error):
        self.failures.append((trial.key, str(error)))

    def postponed(self, trial, why):
        self.again.append((trial.key, why))

    def noted(self, what):
        self.notes.append(what)


def greeting(name, **other):
    values = {"version": testbed.__version__, "name": name, "labs": 1, "machine": name, "scratch": "/tmp"}
    return Greeting(**(values | other))


class Pretended(Cluster):
    """Workers that make runs in the order in which they were begun; `becomes` says what becomes of each, by number."""

    address = "tcp://198.18.0.1:8786"

    def __init__(self, workers, becomes, made):
        self.workers, self.becomes, self.made = workers, becomes, made
        self.begun: deque[tuple[str, str, dict[str, Any]]] = deque()
        self.count = 0

    def scheduler_version(self):
        return testbed.__version__

    def addresses(self):
        return sorted(self.workers)

    def greetings(self, addresses):
        return {address: self.workers[address] for address in addresses}

    def give_files(self, _address, _scratch, name, _content):
        return f"/tmp/{name}"

    def begin(self, trial, address, _scratch, _files, plan):
        assert [each for each in self.begun if each[1] == address] == []
        self.begun.append((trial, address, plan))

    def report(self, _timeout_s):
        if not self.begun:
            return None
        self.count += 1
        trial, address, plan = self.begun.popleft()
        what = self.becomes.get(self.count, "whole")
        if what == "dies":
            del self.workers[address]
            return Report(trial=trial, error="Dask: KilledWorker")
        if isinstance(what, Failure):
            return Report(trial=trial, outcome=Outcome(failure=what, recorded=False))
        self.archive = self.made(plan["lab"], plan["seed"])
        return Report(trial=trial, outcome=Outcome(failure=None, recorded=True), directory="/tmp/x")

    def fetch(self, address, _directory, file):
        if self.becomes.get(self.count) == "dies on the way":
            del self.workers[address]
            raise WorkerGoneError(address)
        if self.becomes.get(self.count) == "is lost":
            raise LabError("worker-failed", "worker a: no such file")
        file.write_bytes(self.archive.read_bytes())

    def abandon(self, trial):
        self.begun = deque(each for each in self.begun if each[0] != trial)


@pytest.fixture
def carried_out(make, keep, tmp_path, monkeypatch):
    """Carries a sweep out on pretended workers; returns what there is then, what was heard, and the order."""
    monkeypatch.setattr(dispatch, "_RETURN_S", 0)
    monkeypatch.setattr(dispatch, "_LOOK_S", 0)

    def carried_out(workers, becomes=(), repeat=1):
        matrix = make(CELLS, runtime="netns")
        trials = [*matrix.trials(repeat)]

        def made(lab, seed):
            run = keep(next(each for each in trials if each.key == (lab, seed)), tmp_path / "there", 1e6)
            return archive.export(run, tmp_path / "run.zip")

        directory, heard = tmp_path / "here", Heard()
        runs: dict[tuple[str, int], Run] = {}
        outcome = SweepOutcome(matrix=matrix, directory=directory, repeat=repeat, runs=runs, measures=())
        pretended = Pretended(dict(workers), dict(becomes), made)
        error = None
        try:
            dispatch.Dispatch(pretended, trials, outcome, heard).run()
        except (LabError, MachineError) as raised:
            error = raised
        order = [trial.key for trial in trials]
        return SimpleNamespace(order=order, runs=runs, heard=heard, error=error)

    return carried_out


def test_runs_begin_in_the_order_of_the_sweep_one_at_a_time_on_each_worker(carried_out):
    done = carried_out({"a": greeting("east"), "b": greeting("west")}, repeat=2)
    assert done.error is None
    assert [key for key, _, _ in done.heard.started_on] == done.order
    assert [number for _, number, _ in done.heard.started_on] == [1, 2, 3, 4, 5, 6]
    assert {worker for _, _, worker in done.heard.started_on} == {"east", "west"}
    assert sorted(done.runs) == sorted(done.order)
    assert done.heard.notes == ["2 at tcp://198.18.0.1:8786: east (a), west (b)"]


@pytest.mark.parametrize("how", ["dies", "dies on the way"])
def test_the_run_of_a_worker_that_dies_is_next_on_another_one(carried_out, how):
    done = carried_out({"a": greeting("east"), "b": greeting("west")}, {1: how})
    assert done.error is None
    assert sorted(done.runs) == sorted(done.order)
    assert done.heard.again == [(done.order[0], "worker east (a) died while it made this run")]
    assert not done.heard.failures


def test_a_run_that_two_workers_die_of_is_missing_and_the_others_are_made(carried_out):
    workers = {"a": greeting("east"), "b": greeting("west"), "c": greeting("north")}
    done = carried_out(workers, {1: "dies", 4: "dies"})
    [(lost, why)] = done.heard.failures
    assert (lost, "worker-died" in why, "as another one did before" in why) == (done.order[0], True, True)
    assert sorted(done.runs) == sorted(done.order[1:])


def test_without_any_worker_left_the_sweep_ends(carried_out):
    done = carried_out({"a": greeting("east")}, {2: "dies"})
    assert done.error.code == "workers-gone"
    assert len(done.runs) == 1


def test_a_worker_that_lacks_something_is_not_used_any_more(carried_out):
    lacks = Failure(kind="MachineError", code="no-runtime", message="no Docker Engine answers", hint="start it")
    done = carried_out({"a": greeting("east"), "b": greeting("west")}, {1: lacks})
    assert done.error is None
    assert sorted(done.runs) == sorted(done.order)
    assert done.heard.again[0][1].startswith("worker east (a) can't make it: no-runtime")
    assert {worker for _, _, worker in done.heard.started_on[2:]} == {"west"}


def test_what_every_worker_lacks_ends_the_sweep(carried_out):
    lacks = Failure(kind="MachineError", code="no-runtime", message="no Docker Engine answers", hint="start it")
    done = carried_out({"a": greeting("east"), "b": greeting("west")}, dict.fromkeys(range(1, 9), lacks))
    assert (type(done.error), done.error.code) == (MachineError, "no-runtime")
    assert not done.runs


def test_a_run_that_fails_is_missing_and_the_others_are_made(carried_out):
    fails = Failure(kind="LabError", code="command-failed", message="it ended with status 1", hint=None)
    done = carried_out({"a": greeting("east"), "b": greeting("west")}, {2: fails})
    assert done.error is None
    assert [key for key, _ in done.heard.failures] == [done.order[1]]
    assert sorted(done.runs) == sorted([done.order[0], done.order[2]])


def test_a_run_that_the_worker_has_lost_is_missing(carried_out):
    done = carried_out({"a": greeting("east"), "b": greeting("west")}, {1: "is lost"})
    assert done.error is None
    assert done.heard.failures == [(done.order[0], "worker-failed: worker a: no such file")]
    assert sorted(done.runs) == sorted(done.order[1:])


def test_three_failures_in_a_row_on_the_only_worker_end_the_sweep(carried_out):
    fails = Failure(kind="LabError", code="command-failed", message="it ended with status 1", hint=None)
    done = carried_out({"a": greeting("east")}, dict.fromkeys(range(1, 9), fails), repeat=2)
    assert done.error.code == "command-failed"
    assert len(done.heard.failures) == 3


@pytest.mark.parametrize("name", ["the scheduler", "worker b"])
def test_another_version_is_an_error_that_names_both(carried_out, monkeypatch, name):
    workers = {
        "a": greeting("east"),
        "b": greeting("west", version="0.0.9" if name == "worker b" else testbed.__version__),
    }
    if name == "the scheduler":
        monkeypatch.setattr(Pretended, "scheduler_version", lambda _: "0.0.9")
    done = carried_out(workers)
    assert done.error.code == "versions-differ"
    assert done.error.message == f"{name} has testbed 0.0.9, and this is testbed {testbed.__version__}"
    assert not done.heard.started_on


def test_no_worker_with_the_resource_is_an_error_with_the_command_that_starts_one(carried_out):
    done = carried_out({"a": greeting("east", labs=0)})
    assert done.error.code == "no-workers"
    assert "dask worker tcp://198.18.0.1:8786 --nthreads 1 --resources lab=1" in done.error.hint
    assert done.heard.notes == ["a is not used: it has no resource lab: start it with --resources lab=1"]


def test_of_two_workers_on_one_machine_one_is_used(carried_out):
    workers = {"a": greeting("east"), "b": greeting("west", machine="east")}
    done = carried_out(workers)
    assert {worker for _, _, worker in done.heard.started_on} == {"east"}
    assert done.heard.notes[0] == "b is not used: it is on the same machine as east (a)"


def test_the_other_worker_of_the_machine_takes_over(carried_out):
    workers = {"a": greeting("east"), "b": greeting("west", machine="east")}
    done = carried_out(workers, {1: "dies"})
    assert done.error is None
    assert sorted(done.runs) == sorted(done.order)
    assert "west (b) has joined" in done.heard.notes


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("nodes: {a: {namespace: one}, b: {namespace: two}}", "names containers, namespaces or a compose project"),
        ("nodes: {a: {host: east}, b: {host: east}}, hosts: {east: 'ssh://east'}", "names its own hosts"),
    ],
)
def test_what_needs_this_machine_or_others_is_not_sent(text, why):
    needy = topology.loads(f"{{name: mine, {text}}}", "mine.yml")
    trial = Trial(cell=Cell(number=1, levels={}, topology=needy, lab="mine"), repetition=1, seed=1)
    outcome = cast("SweepOutcome", SimpleNamespace(matrix=None))
    with pytest.raises(UsageError, match=f"not-sent: topology mine {why}"):
        dispatch.make_on_workers("tcp://198.18.0.1:1", [trial], outcome, Heard())


def test_an_address_is_refused_before_anything_is_tried():
    with pytest.raises(UsageError, match="bad-address: 'here' is not the address"):
        Cluster("here")


def test_without_the_extra_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(MachineError, match=r"no-distributed.*\n.*pip install 'testbed-lab\[cluster\]'"):
        Cluster("tcp://198.18.0.1:1")


def test_tls_without_a_certificate_is_an_error_that_names_the_settings():
    pytest.importorskip("distributed")
    with pytest.raises(MachineError, match=r"no-certificate(.|\n)*distributed\.comm\.tls\.client"):
        Cluster("tls://198.18.0.1:1")
