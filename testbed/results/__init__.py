"""A run on disk: written while it goes on, read back later. What a terminal shows of it is in `testbed.results.tables`.

results/LAB/20261122T113000Z-7f3a/    whole; `.partial` at the end of the name while it goes on, `.incomplete` if it
                                      failed, was interrupted or (`.partial`, then) was killed
    run.json                          all but the samples, see `testbed.results.run.Run`
    samples/WORKLOAD.jsonl            what the endpoints said, a line each, see `testbed.endpoint`
    sockets/NODE.jsonl                TCP connections of nodes that were asked for, see `testbed.results.connections`
    captures/NODE-NETWORK.pcap        packets, where they were captured, see `testbed.results.captures`
results/latest                        a link to the last whole run of any lab
"""

from testbed.results.connections import Connections
from testbed.results.reading import load
from testbed.results.run import Engine, Run, changed_links
from testbed.results.starts import StepStart
from testbed.results.timeline import Happening, late_events
from testbed.results.writing import RunWriter

__all__ = [
    "Connections",
    "Engine",
    "Happening",
    "Run",
    "RunWriter",
    "StepStart",
    "changed_links",
    "late_events",
    "load",
]
