"""Faults that are drawn from a seed: always the same, always valid, and within the guard rails."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testbed import topology, units
from testbed.plan import resolve
from testbed.topology import TopologyError, chaos_drawing

FAULTS = ["partition", "pause", "kill", "restart", "loss", "delay", "flap", "dns", "cpus"]


def text(**chaos):
    keys = {"every": "700ms", "lasting": "{mean: 600ms}", "nodes": "[s1, s2, s3, s4, s5]", **chaos}
    written = ", ".join(f"{name}: {value}" for name, value in keys.items() if value is not None)
    return f"""
name: c
nodes: {{s1: , s2: , s3: , s4: , s5: , client: }}
links:
  - {{between: [client, s1], delay: 10ms}}
  - {{between: [s1, s2], delay: 30ms, jitter: 20ms, loss: 1%}}
workloads:
  - {{name: voice, kind: udp-stream, from: client, to: s1, rate: 64kbit, duration: 20s}}
chaos: {{{written}}}
"""


def loaded(**chaos):
    return topology.loads(text(**chaos), "c.yml")


def down(entries, at_ns):
    """The nodes that are down at a time, by what the entries say."""
    found = set()
    for entry in entries:
        begun_ns = units.DURATION.parse(entry["at"])
        lasting = entry.get("pause") or entry.get("kill") or (entry.get("for") if "partition" in entry else None)
        if isinstance(lasting, str) and begun_ns <= at_ns < begun_ns + units.DURATION.parse(lasting):
            found |= {entry["node"]} if "node" in entry else {*entry["partition"][0]}
    return found


@settings(max_examples=50)
@given(seed=st.integers(0, 1 << 63), faults=st.lists(st.sampled_from(FAULTS), min_size=1, unique=True))
def test_what_is_drawn_is_valid_and_keeps_a_majority(seed, faults):
    chaotic = loaded(faults=f"[{', '.join(faults)}]")
    entries = chaos_drawing.drawn(chaotic, seed)
    assert entries == chaos_drawing.drawn(chaotic, seed)
    times = [units.DURATION.parse(entry["at"]) for entry in entries]
    assert all(before < after for before, after in pairwise(times))
    assert all(len(down(entries, at_ns)) <= 2 for at_ns in times)
    calm = topology.with_chaos(chaotic, seed)  # raises unless all of it is what a file may say
    assert calm.chaos is None
    assert len(calm.timeline) == len(entries)


def test_the_plan_has_what_the_seed_draws():
    chaotic = loaded()
    first, other = resolve(chaotic, seed=7), resolve(chaotic, seed=8)
    assert first.timeline
    assert first == resolve(chaotic, seed=7)
    assert first.timeline != other.timeline
    assert first.digest != other.digest


def test_only_some_nodes_and_only_so_many():
    entries = chaos_drawing.drawn(loaded(nodes="[s1, s2]", most_down=0, faults="[pause, kill, partition]"), 3)
    assert entries == ()
    entries = chaos_drawing.drawn(loaded(nodes="[s1, s2]", most_down=1, faults="[pause]", until="5s"), 3)
    assert {entry["node"] for entry in entries} == {"s1", "s2"}
    assert max(units.DURATION.parse(entry["at"]) + units.DURATION.parse(entry["pause"]) for entry in entries) < 5e9


@pytest.mark.parametrize(
    ("chaos", "said"),
    [
        ({"every": None}, 'c.yml:9:8: missing-key: chaos lacks "every"'),
        ({"faults": "[fire]"}, 'chaos.faults[0] is "fire"'),
        ({"nodes": "[s9]"}, '"s9", which is not a node'),
        ({"until": "30s"}, "chaos.until is after the end of the workloads"),
        ({"nodes": "[s1]", "faults": "[loss]"}, "chaos has loss, and no two of its nodes share a network"),
        ({"most_down": "9"}, "chaos.most_down is more than there are nodes"),
    ],
)
def test_what_is_wrong_is_said_at_its_line(chaos, said):
    with pytest.raises(TopologyError) as caught:
        loaded(**chaos)
    assert said in str(caught.value)


def test_chaos_beside_a_timeline_is_refused():
    with pytest.raises(TopologyError, match="chaos and a timeline exclude each other"):
        topology.loads(text() + "timeline:\n  - {at: 1s, heal: all}\n", "c.yml")


def test_changes_that_last_end_as_the_file_has_it():
    plain = topology.loads(
        text().partition("chaos:")[0]
        + "timeline:\n"
        + "  - {at: 1s, link: {between: [s1, s2]}, loss: 50%, for: 2s}\n"
        + "  - {at: 4s, partition: [[s1], [s2, s3]], for: 500ms}\n",
        "c.yml",
    )
    events = resolve(plain).timeline
    assert [(event.at_ns / 1e9, event.what) for event in events] == [
        (1, "s1 <-> s2: loss 50 %"),
        (3, "s1 <-> s2: over"),
        (4, "partition s1 | s2, s3"),
        (4.5, "partition s1 | s2, s3: over"),
    ]
    before = {link.key: link.impairments for link in resolve(plain).links}
    for event in (events[1], events[3]):
        assert all(change.impairments == before[change.key] for change in event.changes)
