"""Runs on disk: written while they last, and read back later. `testbed.cli.tables` shows them on a terminal.

results/LAB/20261122T113000Z-7f3a/    a complete run; `.partial` is appended while it lasts (and stays if the process is
                                      killed), `.incomplete` if it failed or was interrupted
    run.json                          all but the samples, see `testbed.runs.run.Run`
    samples/WORKLOAD.jsonl            the reports of the endpoints, one per line, see `testbed.endpoint`
    links.jsonl                       counters of links over time, see `testbed.runs.link_records`
    sockets/NODE.jsonl                TCP connections of sampled nodes, see `testbed.runs.connections`
    captures/NODE-NETWORK.pcap        captured packets, see `testbed.runs.capture_records`
    events/NUMBER-NODE.txt            what commands of the timeline wrote, see `testbed.runs.event_commands`
results/latest                        a link to the last complete run of any lab
"""

from testbed.runs.connections import Connections
from testbed.runs.event_commands import CommandRecord, failed_commands
from testbed.runs.link_engines import LinkEngine, changed_links
from testbed.runs.link_records import LINKS_FILE, LinkRecord
from testbed.runs.machine_clocks import MachineClock, machine_clocks
from testbed.runs.reading import load
from testbed.runs.run import Run
from testbed.runs.starts import StepStart
from testbed.runs.timeline_records import ClockSeen, TimelineRecord, late_events
from testbed.runs.writing import RunWriter

__all__ = [
    "LINKS_FILE",
    "ClockSeen",
    "CommandRecord",
    "Connections",
    "LinkEngine",
    "LinkRecord",
    "MachineClock",
    "Run",
    "RunWriter",
    "StepStart",
    "TimelineRecord",
    "changed_links",
    "failed_commands",
    "late_events",
    "load",
    "machine_clocks",
]
