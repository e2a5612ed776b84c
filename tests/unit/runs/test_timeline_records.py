"""When events of a timeline happened, in a run's record."""

import json
from contextlib import suppress
from dataclasses import replace

from testbed.runs import RunWriter, TimelineRecord, late_events, load

MS = 1_000_000


def happening(late_ns=0):
    due_ns = 77_000 * MS
    return TimelineRecord(
        at_ns=3000 * MS, what="heal all", due_ns=due_ns, begun_ns=due_ns + late_ns // 2, done_ns=due_ns + late_ns
    )


def test_records_of_the_timeline_are_read_back(tmp_path, plan):
    with RunWriter(tmp_path, plan, runtime="netns") as writer:
        writer.happened(happening())
        writer.happened(happening(3))
    assert load("latest", tmp_path).timeline == (happening(), happening(3))


def test_a_failed_run_records_the_events_before_the_failure(tmp_path, plan):
    writer = RunWriter(tmp_path, plan, runtime="netns")
    with suppress(KeyboardInterrupt), writer:
        writer.happened(happening())
        raise KeyboardInterrupt
    assert load(writer.run.path).timeline == (happening(),)


def test_a_record_from_before_there_were_timelines_is_read(tmp_path, plan):
    with RunWriter(tmp_path, plan, runtime="netns") as writer:
        pass
    file = writer.run.path / "run.json"
    old = json.loads(file.read_text())
    del old["timeline"], old["plan"]["timeline"]
    file.write_text(json.dumps(old))
    assert load(writer.run.path) == replace(writer.run, path=writer.run.path.resolve())


def test_an_event_that_came_too_late_is_a_reason_not_to_trust_a_run():
    assert late_events([happening(), happening(100 * MS)]) == ()
    assert late_events([happening(250 * MS)]) == (
        "heal all, due at 3 s, happened 250 ms late: this machine was too busy",
    )
