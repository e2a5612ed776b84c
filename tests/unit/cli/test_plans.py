"""A plan as tables for people."""

from testbed.cli import plans
from testbed.plan import resolve
from testbed.topology import loads

TEXT = """name: x
nodes: {a: , b: }
workloads: [{name: w, kind: udp-stream, from: a, to: b, duration: 9s}]
timeline: [{at: 2500ms, partition: [[a], [b]]}, {at: 1s, link: {from: a, to: b}, loss: 0}]
"""


def test_the_timeline_is_listed_in_the_order_of_time(capsys):
    plans.show(resolve(loads(TEXT, "x.yml")))
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    at = lines.index("at event link impairments from then on")
    assert lines[at + 1 : at + 4] == [
        "1 s a -> b: no loss nothing changes",
        "2.5 s partition a | b a -> b loss 100 %",
        "b -> a loss 100 %",
    ]


SERVICE = """name: x
nodes:
  a: {tmpfs: "/run:size=1m", ulimits: {nofile: 5}, setup: [[sh, -c, a b]], privileged: true, ready: {log: up}}
  b: {shm_size: 1MB, depends_on: {a: {condition: service_started}}}
  c:
"""


def test_what_makes_a_node_a_service_is_listed(capsys):
    plans.show(resolve(loads(SERVICE, "x.yml")))
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    at = lines.index("service key value")
    assert lines[at + 1 : at + 9] == [
        "a tmpfs /run:size=1m",
        "privileged True",
        "ulimits nofile 5/5",
        "setup sh -c 'a b'",
        "ready a line of its log matches up, within 10 s",
        "b shm_size 1 MB",
        "depends_on a started",
        "",
    ]


MACHINES = """
name: spread
hosts: {east: "unix:///e", west: "unix:///w"}
nodes: {a: {host: east}, b: {host: west}, c: {host: east}}
links: [{wire: [a, b], mtu: 1400}, {wire: [a, c]}]
"""


def test_machines_are_shown_with_what_connects_them(capsys):
    plans.show(resolve(loads(MACHINES, "x.yml")))
    said = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["east", "a,", "c"] in said
    assert ["wire", "a-b", "1400", "B", "east,", "west"] in said
    assert not any("a-c" in line and "B" in line for line in said)
    assert any("added" in line for line in said)
