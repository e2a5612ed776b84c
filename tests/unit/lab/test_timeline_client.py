"""The end of a run's timeline, with an agent that says nothing."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

from testbed.agent.messages import Tell
from testbed.lab import timeline_client
from testbed.lab.observer import SILENT
from testbed.lab.timeline_client import Timeline


def test_a_look_at_a_clock_in_a_node_that_the_timeline_has_paused_does_not_keep_it_from_its_end(monkeypatch):
    monkeypatch.setattr(timeline_client, "_SETTLING_S", 0.01)
    told, ended = [], threading.Event()

    def tell(what):
        told.append(what)
        ended.set()  # as the agent, which has the node go on

    plan: Any = SimpleNamespace(timeline=(SimpleNamespace(at_ns=0),), lab="lab")
    lab: Any = SimpleNamespace(agent=None, now_ns=lambda: 0)
    connection: Any = SimpleNamespace(tell=tell, close=lambda: None)
    timeline = Timeline(plan, lab, {}, lambda _record: None, SILENT)
    timeline._connection = connection

    def look():
        ended.wait()
        timeline._happened += 1

    timeline._reader = threading.Thread(target=look)
    timeline._reader.start()
    timeline.require_all()
    assert told == [Tell()]
    assert timeline._failure is None
