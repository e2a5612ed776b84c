"""A run on disk: written while it goes on, read back later. What a terminal shows of it is in `testbed.cli.tables`.

results/LAB/20261122T113000Z-7f3a/    whole; `.partial` at the end of the name while it goes on, `.incomplete` if it
                                      failed, was interrupted or (`.partial`, then) was killed
    run.json                          all but the samples, see `testbed.runs.run.Run`
    samples/WORKLOAD.jsonl            what the endpoints said, a line each, see `testbed.endpoint`
    sockets/NODE.jsonl                TCP connections of nodes that were asked for, see `testbed.runs.connections`
    captures/NODE-NETWORK.pcap        packets, where they were captured, see `testbed.runs.capture_records`
results/latest                        a link to the last whole run of any lab
"""

from testbed.runs.connections import Connections
from testbed.runs.reading import load
from testbed.runs.run import LinkEngine, Run, changed_links
from testbed.runs.starts import StepStart
from testbed.runs.timeline_records import TimelineRecord, late_events
from testbed.runs.writing import RunWriter

__all__ = [
    "Connections",
    "LinkEngine",
    "Run",
    "RunWriter",
    "StepStart",
    "TimelineRecord",
    "changed_links",
    "late_events",
    "load",
]
