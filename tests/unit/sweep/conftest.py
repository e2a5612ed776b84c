"""A sweep's file, and runs of it that are on disk without having been made."""

import pytest

from testbed import plan, sweep, topology
from testbed.runs import RunWriter
from testbed.workloads.summary import Summary

TEXT = """
name: swept
seed: 3
nodes: {a: , b: }
links: [{between: [a, b], delay: 10ms}]
workloads:
  - {name: flow, kind: tcp-stream, from: a, to: b, duration: 1s}
  - {name: voice, kind: udp-stream, from: a, to: b, duration: 1s}
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "swept.yml"
    path.write_text(TEXT)
    return path


@pytest.fixture
def make(file):
    """Makes a matrix from options --set."""

    def make(*sets, **options):
        return sweep.matrix(file, [topology.parse_factor(text) for text in sets], **options)

    return make


@pytest.fixture
def keep():
    """Writes a whole run of a trial, as a lab would."""

    def keep(trial, directory, goodput_bps, *, distrust=(), runtime="netns", error=None):
        planned = plan.resolve(trial.cell.topology, lab=trial.cell.lab, seed=trial.seed)
        flow = Summary(workload="flow", kind="tcp-stream", values={"goodput_bps": goodput_bps}, missing={})
        values = {"latency_p50_ns": 10_000_000, "loss_ratio": 0.01}
        voice = Summary(workload="voice", kind="udp-stream", values=values, missing={})
        try:
            with RunWriter(directory, planned, runtime=runtime) as writer:
                for summary in (flow, voice):
                    writer.ended(summary)
                writer.finished((), distrust)
                if error is not None:
                    raise error
        except type(error):  # what is left is marked incomplete
            pass
        return writer.run

    return keep


@pytest.fixture
def outcome_of(make, keep, tmp_path):
    """The outcome of a sweep whose runs had the goodput that a function of the trial says."""

    def outcome_of(goodput, *sets, repeat=3, distrusted=()):
        matrix = make(*sets)
        for number, trial in enumerate(matrix.trials(repeat)):
            value = goodput(trial)
            if value is not None:
                keep(trial, tmp_path, value, distrust=["late"] if number in distrusted else [])
        return sweep.SweepOutcome(
            matrix=matrix,
            directory=tmp_path,
            repeat=repeat,
            runs=sweep.outcome.kept(matrix, tmp_path),
            measures=sweep.measures(matrix.plan),
        )

    return outcome_of
