"""The store with a planted bug (tests/store): two faults expose it, one does not, and without the bug nothing does.

It is what `testbed hunt` has to find, so the bug has to show up in nearly every run with both faults.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from testbed.lab import Lab
from testbed.topology import loads

pytestmark = [pytest.mark.live, pytest.mark.netns]

STORE = Path(__file__).parents[1] / "store" / "store.yml"
CUT = "  - {at: 1s, partition: [[first], [second]]}\n  - {at: 4s, link: {between: [first, second]}, blackhole: false}\n"
PAUSE = "  - {at: 2s, node: first, pause: 2s}\n"
KILL = "  - {at: 2s, node: first, kill: 1s}\n"
LOSE_BACKUP = "  - {at: 1s, node: second, kill: 1s}\n"

HARMLESS = {"none": "", "cut": CUT, "pause": PAUSE, "kill": KILL, "backup killed": LOSE_BACKUP}
HARMFUL = {"cut and pause": CUT + PAUSE, "cut and kill": CUT + KILL}


ATTEMPTS = 3


def told(name, timeline, results, *, careful=False):
    """Run the store with a timeline in place of its chaos, and return how many stale reads its client tells."""
    text = STORE.read_text().partition("\nchaos:")[0]
    if timeline:
        text += f"\ntimeline:\n{timeline}"
    if careful:
        text = text.replace("/mnt/monitor.py, first", "/mnt/monitor.py, --careful, first")
    with Lab.up(loads(text, str(STORE), STORE.parent), name=name, runtime="netns") as lab:
        run = lab.run(results, check=False)
    reads, stale = (run.summary("client").values[f"data.{name}"] for name in ("reads", "stale_reads"))
    assert isinstance(reads, int)
    assert isinstance(stale, int)
    assert reads > 20
    return stale


def shows_the_bug(name, timeline, results, *, expected):
    """Whether the bug shows in a run with a timeline.

    What is not expected has to be so in three runs: a machine that stands still for as long as a lease, half a second,
    is a fault of its own.
    """
    for _ in range(ATTEMPTS):
        if (shown := told(name, timeline, results) > 0) is expected:
            break
    return shown


def test_two_faults_expose_the_planted_bug_and_no_single_one_does(lab_name, tmp_path):
    cases = {**HARMLESS, **HARMFUL}
    with ThreadPoolExecutor() as pool:
        running = {
            case: pool.submit(shows_the_bug, f"{lab_name}-{number}", timeline, tmp_path, expected=case in HARMFUL)
            for number, (case, timeline) in enumerate(cases.items())
        }
        mended = pool.submit(told, f"{lab_name}-mended", CUT + PAUSE, tmp_path, careful=True)
    assert {case for case, shown in running.items() if shown.result()} == {*HARMFUL}
    assert mended.result() == 0
