"""What a hunt remembers of its runs."""

import json
from dataclasses import asdict
from typing import Any

from testbed.hunt.trials import HuntTrial, Trials


def test_a_hunt_goes_on_after_one_that_was_killed_while_it_wrote_an_outcome_down(tmp_path):
    trial = HuntTrial(key="k", failed=True, why="rpc.latency.p99 < 1ms", run="run-1")
    lines = [json.dumps(asdict(trial)), json.dumps(asdict(trial))[:20]]
    (tmp_path / "trials.jsonl").write_text("\n".join(lines))
    none: Any = None
    trials = Trials(
        topology=none, directory=tmp_path, name="hunt", runtime=None, engine=None, command=(), observer=none
    )
    assert trials.done == {"k": [trial]}
