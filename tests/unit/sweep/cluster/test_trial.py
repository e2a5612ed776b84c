import json

import pytest

from testbed import codec
from testbed.errors import LabError, MachineError
from testbed.sweep.cluster.trial import Failure, Outcome


def told():
    error = MachineError("no-netem", "this kernel has no netem", "modprobe sch_netem", path=("links", "0"))
    error.add_note("a note")
    return error


def test_an_error_of_a_trial_is_the_same_on_the_machine_of_the_sweep():
    outcome = Outcome(failure=Failure.of(told()), recorded=True)
    read = codec.decode(json.loads(json.dumps(codec.encode(outcome))), Outcome)
    assert read == outcome
    assert read.failure
    error = read.failure.error()
    assert (type(error), str(error), error.path, error.__notes__) == (
        MachineError,
        str(told()),
        ("links", "0"),
        ["a note"],
    )


def test_an_error_of_an_unknown_class_is_one_of_the_lab():
    failure = Failure(kind="Surprise", code="odd", message="it is odd", hint=None)
    with pytest.raises(LabError, match="odd: it is odd"):
        raise failure.error()
