"""Timelines of a file: what is wrong, where; and what links are like after each event."""

import sys
from itertools import combinations

import pytest

from testbed.errors import UsageError
from testbed.impairments import (
    CLEAR,
    Blackhole,
)
from testbed.lab import running
from testbed.matching import LinkKey
from testbed.plan import resolve
from testbed.topology import TopologyError, loads
from testbed.topology.impairments import ImpairmentKeys
from testbed.topology.steps import in_time
from testbed.topology.timeline_state import TimelineState

MS = 1_000_000
HEAD = """name: x
networks: {lan: , wan: }
nodes:
  a: {networks: [lan]}
  b: {networks: [lan, wan]}
  c: {networks: [lan, wan]}
  d: {networks: [wan]}
links: [{between: [a, b], delay: 20ms, rate: 10mbit}, {from: b, to: a, delay: 30ms, loss: 1%}]
workloads:
  - {name: one, kind: udp-stream, from: a, to: b, network: lan, duration: 3s}
  - together:
      - {name: two, kind: udp-stream, from: a, to: b, network: lan, duration: 2s}
      - {name: three, kind: tcp-stream, from: a, to: b, network: lan, duration: 5s}
timeline:
"""
LINE = HEAD.count("\n") + 1


def links_after(*events, head=HEAD):
    """The impairments of links after each event."""
    topology = loads(head + "".join(f"  - {event}\n" for event in events), "file.yml")
    links = TimelineState(topology)
    return [links.apply(step.what) for step in in_time(topology)]


def described(*events):
    return [
        {" ".join(key[:2]): impairments.describe() for key, impairments in found.items()}
        for found in links_after(*events)
    ]


@pytest.mark.parametrize(
    ("event", "column", "code", "words"),
    [
        ("{at: 1, heal: all}", 10, "bad-value", ["has no unit"]),
        ("{heal: all}", 5, "missing-key", ['timeline[0] lacks "at"']),
        ("{at: 1s}", 5, "missing-key", ["timeline[0] does not say what happens", "events are: link, node"]),
        ("[1s]", 5, "wrong-type", ["must be a mapping"]),
        ("{at: 1s, link: {between: [a, b]}}", 5, "missing-key", ["names nothing that changes"]),
        ("{at: 1s, link: {between: [a, b]}, los: 1%}", 39, "unknown-key", ['did you mean "loss"?']),
        ("{at: 1s, link: {between: [a, b]}, profile: lte}", 39, "unknown-key", ['no key "profile"']),
        ("{at: 1s, link: {between: [a, b]}, loss: 1}", 45, "bad-value", ["timeline[0].loss is wrong"]),
        ("{at: 1s, link: {between: [a, bb]}, loss: 1%}", 34, "unknown-node", ["timeline[0].link.between[1]"]),
        ("{at: 1s, link: {from: a, to: d}, loss: 1%}", 20, "no-shared-network", ['"a" and "d"']),
        ("{at: 1s, link: {from: b, to: c}, loss: 1%}", 20, "missing-key", ['lacks "network"']),
        ("{at: 1s, link: {from: a, to: a}, loss: 1%}", 20, "same-node", ["to itself"]),
        ("{at: 1s, link: {from: b, to: c, network: x}, loss: 1%}", 46, "unknown-network", ["lan, wan"]),
        ("{at: 1s, link: {between: [a, b]}, jitter: 21ms}", 47, "jitter-exceeds-delay", ["[0].jitter", "20 ms"]),
        ("{at: 1s, link: {from: b, to: a}, queue: 1KB}", 45, "queue-without-rate", ["give a rate"]),
        ("{at: 1s, heal: al}", 20, "unknown-value", ['did you mean "all"?']),
        ("{at: 1s, heal: {between: [a, x]}}", 34, "unknown-node", ["timeline[0].heal.between[1]"]),
        ("{at: 1s, partition: [[a]]}", 25, "wrong-length", ["at least 2"]),
        ("{at: 1s, partition: [a, b]}", 26, "wrong-type", ["must be a list"]),
        ("{at: 1s, partition: [[a], []]}", 31, "wrong-length", ["at least 1"]),
        ("{at: 1s, partition: [[a], [x]]}", 32, "unknown-node", ['"x"']),
        ("{at: 1s, partition: [[a], [b, a]]}", 35, "duplicate-node", ['"a"', "in a group already"]),
        ("{at: 1s, partition: [[a], [d]]}", 25, "no-shared-network", ["separates nothing"]),
        ("{at: 1s, node: a, pause: 3}", 30, "bad-value", ["has no unit", "how long it lasts: 3s"]),
        ("{at: 1s, node: a, pause: no}", 30, "bad-value", ["timeline[0].pause is wrong"]),
        ("{at: 1s, node: a, kill: SIGTER}", 29, "bad-value", ['did you mean "SIGTERM"?']),
        ("{at: 1s, node: a, kill: server}", 29, "bad-value", ["write true, a signal", "`node:` names the node"]),
        ("{at: 1s, node: a, pause: true, for: 3s}", 36, "unknown-key", ["keys are: at, every, until, node, pause"]),
        ("{at: 1s, node: aa, stop: true}", 20, "unknown-node", ["nodes are: a, b, c, d"]),
        ("{at: 1s, node: host, pause: 1s}", 20, "built-in-node", ["can only be an end of a link"]),
        ("{at: 1s, node: a, unpause: true}", 20, "contradicting-event", ['"a", which is not paused']),
        ("{at: 1s, node: a, start: true}", 20, "contradicting-event", ['"a", which is not off']),
        ("{at: 7s, node: a, pause: 1s}", 30, "event-after-end", ["happen at 8 s"]),
        ("{at: 1s, every: 1s, node: a, pause: true}", 41, "endless-fault", ["pause: 500 ms"]),
        ("{at: 1s, every: 1s, node: a, pause: 1s}", 41, "longer-than-every", ["lasts 1 s"]),
        ("{at: 1s, every: 1s, until: 1s, heal: all}", 32, "until-too-early", ["first happens at 1 s"]),
        ("{at: 1s, every: 1s, until: 10s, heal: all}", 32, "event-after-end", ["happen at 8 s"]),
        ("{at: 1s, until: 2s, heal: all}", 21, "until-without-every", ["every: 2s"]),
        ("{at: 1s, link: {between: [a, b]}, ramp: {over: 1s}}", 45, "missing-key", ["names nothing that changes"]),
        ("{at: 1s, link: {between: [a, b]}, ramp: {loss: 1%}}", 45, "missing-key", ['lacks "over"']),
        ("{at: 7s, link: {between: [a, b]}, ramp: {over: 1s, loss: 1%}}", 45, "event-after-end", ["happen at 8 s"]),
        ("{at: 1s, link: {from: b, to: a}, ramp: {over: 1s, rate: 1mbit}}", 61, "not-gradual", ["loss 1 %"]),
        ("{at: 1s, link: {between: [a, b]}, ramp: {over: 1s, drop: [1]}}", 56, "not-gradual", ["delay, jitter, loss"]),
        ("{at: 1s, every: 1s, link: {between: [a, b]}, down: 1s}", 56, "longer-than-every", ["less than every"]),
        ("{at: 1s, every: 1s, link: {between: [a, b]}, delay: [1ms, 2]}", 63, "bad-value", ["delay[1]"]),
        ("{at: 1s, partition: {from: [a], to: [x]}}", 42, "unknown-node", ["partition.to[0]"]),
        ("{at: 8s, heal: all}", 10, "event-after-end", ["is 8 s, and workloads take 8 s"]),
    ],
)  # fmt: skip
def test_a_fault_is_one_error_at_its_place(event, column, code, words):
    with pytest.raises(TopologyError) as raised:
        links_after(event)
    problem = raised.value.problems[0]
    assert (problem.line, problem.column, problem.code) == (LINE, column, code)
    for word in words:
        assert word in str(problem)


def test_an_event_applies_to_the_state_after_earlier_ones():
    later = "{at: 2s, link: {from: a, to: b}, jitter: 25ms}"
    links_after("{at: 1s, link: {from: a, to: b}, delay: 30ms}", later)
    with pytest.raises(TopologyError, match="jitter-exceeds-delay"):
        links_after("{at: 3s, link: {from: a, to: b}, delay: 30ms}", later)


def test_a_timeline_without_workloads_is_for_playing():
    head = "name: x\nnodes: {a: , b: }\ntimeline:\n"
    assert links_after("{at: 1min, heal: all}", head=head) == [{}]
    with pytest.raises(TopologyError, match='lacks "until"'):
        links_after("{at: 0s, every: 1s, heal: all}", head=head)
    plan = resolve(loads(f"{head}  - {{at: 1s, heal: all}}\n", "x.yml"))
    with pytest.raises(UsageError, match="no-workloads: x has a timeline, and no workloads during which it happens"):
        running.require(plan, only=(), capture=())


def test_how_long_some_workloads_take_is_not_known():
    unknown = "duration: 3s}\n  - {name: rr, kind: udp-rr, from: a, to: b, network: lan"
    assert links_after("{at: 1min, heal: all}", head=HEAD.replace("duration: 3s", unknown)) == [{}]


def test_a_change_replaces_only_the_keys_that_it_names():
    assert described("{at: 1s, link: {between: [a, b]}, loss: 5%}", "{at: 2s, link: {from: a, to: b}, rate: 0}") == [
        {
            "a b": "delay 20 ms, loss 5 %, rate 10 mbit/s, queue 62.5 KB",
            "b a": "delay 30 ms, loss 5 %",
        },
        {"a b": "delay 20 ms, loss 5 %"},
    ]


def test_a_queue_in_bdp_follows_the_delays_at_the_event():
    both = "{at: 1s, link: {between: [a, b]}, delay: 100ms, queue: 1bdp, rate: 10mbit}"
    [found] = links_after(both)
    assert {impairments.bottleneck.queue_bytes for impairments in found.values()} == {250_000}
    found = links_after(
        "{at: 1s, link: {from: b, to: a}, delay: 60ms}", "{at: 2s, link: {from: a, to: b}, queue: 1bdp}"
    )[1]
    assert found[LinkKey("a", "b", "lan")].bottleneck.queue_bytes == 100_000


def test_a_partition_cuts_links_between_groups_in_both_directions():
    [found] = links_after("{at: 1s, partition: [[a, d], [b]]}")
    cut = {LinkKey("a", "b", "lan"), LinkKey("b", "a", "lan"), LinkKey("d", "b", "wan"), LinkKey("b", "d", "wan")}
    assert found.keys() == cut
    assert all(isinstance(impairments.loss, Blackhole) for impairments in found.values())
    assert found[LinkKey("b", "a", "lan")].delay_ns == 30 * MS


def test_healed_links_are_as_in_the_file():
    cut, first, healed, again = links_after(
        "{at: 2s, heal: {from: a, to: b}}",
        "{at: 3s, heal: all}",
        "{at: 1s, partition: [[a], [b], [c]]}",
        "{at: 4s, heal: all}",
    )
    assert len(cut) == 8
    assert [impairments.describe() for impairments in first.values()] == ["delay 20 ms, rate 10 mbit/s, queue 62.5 KB"]
    assert healed[LinkKey("b", "a", "lan")].describe() == "delay 30 ms, loss 1 %"
    assert healed[LinkKey("b", "c", "wan")] == CLEAR
    assert cut.keys() - first.keys() == healed.keys()
    assert again == {}


def calls_to_validate(nodes, rounds):
    """How often impairments are worked out for a file of so many nodes that is cut in two and healed so many times."""
    names = [f"n{number}" for number in range(nodes)]
    pairs = [f"  - {{between: [{one}, {other}], delay: 5ms}}\n" for one, other in combinations(names, 2)]
    half = f"[[{', '.join(names[::2])}], [{', '.join(names[1::2])}]]"
    events = [
        f"  - {{at: {2 * at}ms, partition: {half}}}\n  - {{at: {2 * at + 1}ms, heal: all}}\n" for at in range(rounds)
    ]
    workload = "workloads:\n  - {name: x, kind: udp-stream, from: n0, to: n1, duration: 10s}\n"
    text = f"name: x\nnodes: {{{', '.join(f'{name}: ' for name in names)}}}\nlinks:\n{''.join(pairs)}{workload}"
    calls = 0

    def count(frame, event, _argument):
        nonlocal calls
        calls += event == "call" and frame.f_code is ImpairmentKeys.resolve.__code__

    sys.setprofile(count)
    try:
        loads(f"{text}timeline:\n{''.join(events)}", "x.yml")
    finally:
        sys.setprofile(None)
    return calls


def test_impairments_are_computed_once_however_often_a_network_is_cut():
    assert calls_to_validate(8, 20) == calls_to_validate(8, 1)


def test_a_timeline_changes_links_a_bounded_number_of_times():
    names = [f"n{number}" for number in range(40)]
    pairs = "".join(
        f"  - {{between: [{one}, {other}], delay: 5ms}}\n" for at, one in enumerate(names) for other in names[at + 1 :]
    )
    groups = f"[[{', '.join(names[:20])}], [{', '.join(names[20:])}]]"
    events = "".join(
        f"  - {{at: {2 * at}ms, partition: *g}}\n  - {{at: {2 * at + 1}ms, heal: all}}\n" for at in range(1, 90)
    )
    text = (
        f"name: x\nnodes: {{{', '.join(f'{name}: ' for name in names)}}}\nlinks:\n{pairs}"
        "workloads: [{name: w, kind: ping, from: n0, to: n1}]\n"
        f"timeline:\n  - {{at: 0ms, partition: &g {groups}}}\n  - {{at: 1ms, heal: all}}\n{events}"
    )
    with pytest.raises(TopologyError, match=r"too-many-changes: timeline.* more than 100000 changes of links"):
        loads(text, "x.yml")


def faults_of(*events):
    topology = loads(HEAD + "".join(f"  - {event}\n" for event in events), "file.yml")
    state, found = TimelineState(topology), []
    for step in in_time(topology):
        found.append((step.at_ns // MS, [str(each) for each in state.faults_of(step.what)]))
        state.apply(step.what)
    return found


def test_a_fault_that_lasts_is_two_steps():
    assert faults_of("{at: 1s, node: a, pause: 3s}", "{at: 2s, node: b, kill: 500ms}") == [
        (1000, ["a: pause"]),
        (2000, ["b: kill"]),
        (2500, ["b: start"]),
        (4000, ["a: unpause"]),
    ]


def test_an_event_happens_again_until_a_time_or_the_end():
    assert [at for at, _ in faults_of("{at: 1s, every: 2s, until: 5s, node: a, restart: true}")] == [1000, 3000]
    assert [at for at, _ in faults_of("{at: 1s, every: 2s, node: a, restart: true}")] == [1000, 3000, 5000, 7000]


def test_heal_all_has_nodes_run_again():
    assert faults_of("{at: 1s, node: a, pause: true}", "{at: 1s, node: c, stop: true}", "{at: 3s, heal: all}")[-1] == (
        3000,
        ["a: unpause", "c: start"],
    )


def delays_ms(events, source, destination):
    """When the delay of a link changes, and to what, both in ms."""
    topology = loads(HEAD + "".join(f"  - {event}\n" for event in events), "file.yml")
    state, found = TimelineState(topology), []
    for step in in_time(topology):
        after = state.apply(step.what)
        if impairments := after.get(LinkKey(source, destination, "lan")):
            found.append((step.at_ns // MS, impairments.delay_ns // MS))
    return found


def test_a_ramp_changes_a_link_in_equal_steps_from_what_it_has():
    ramp = "{at: 1s, link: {between: [a, b]}, ramp: {over: 400ms, delay: 60ms}}"
    assert delays_ms([ramp], "a", "b") == [(1100, 30), (1200, 40), (1300, 50), (1400, 60)]
    assert delays_ms([ramp], "b", "a") == [(1100, 37), (1200, 45), (1300, 52), (1400, 60)]


def test_the_values_of_a_ramp_are_shown_with_four_digits():
    ramp = "{at: 1s, link: {from: b, to: a}, ramp: {over: 700ms, delay: 60ms, loss: 5%}}"
    topology = loads(f"{HEAD}  - {ramp}\n", "file.yml")
    state, said = TimelineState(topology), []
    for step in in_time(topology):
        state.apply(step.what)
        said.append(state.describe(step.what))
    assert said[0] == "b -> a: delay 34.29 ms, loss 1.571 %"
    assert said[-1] == "b -> a: delay 60 ms, loss 5 %"


def test_a_ramp_keeps_what_else_happens_to_its_link():
    ramp = "{at: 1s, link: {from: b, to: a}, ramp: {over: 400ms, loss: 5%}}"
    cut, *_, healed = links_after(
        "{at: 0s, link: {from: b, to: a}, blackhole: true}", ramp, "{at: 2s, link: {from: b, to: a}, blackhole: false}"
    )
    assert {each.describe() for each in cut.values()} == {"delay 30 ms, loss 100 %"}
    assert {each.describe() for each in healed.values()} == {"delay 30 ms, loss 5 %"}


def test_a_flapping_link_has_its_loss_again_each_time():
    found = described("{at: 1s, every: 2s, until: 4s, link: {from: b, to: a}, down: 500ms}")
    assert [each["b a"] for each in found] == ["delay 30 ms, loss 100 %", "delay 30 ms, loss 1 %"] * 2


def test_values_in_a_list_alternate():
    events = ["{at: 1s, every: 2s, link: {between: [a, b]}, delay: [40ms, 60ms], loss: 1%}"]
    assert delays_ms(events, "a", "b") == [(1000, 40), (3000, 60), (5000, 40), (7000, 60)]


def test_a_partition_in_one_direction_leaves_the_other():
    [found] = links_after("{at: 1s, partition: {from: [a], to: [b, c]}}")
    assert found.keys() == {LinkKey("a", "b", "lan"), LinkKey("a", "c", "lan")}


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("{offset: 30s, drift: 100ppm}", "a: clock 30 s ahead, drifts by 100 ppm"),
        ("{drift: -0.5ppm}", "a: clock drifts by -0.5 ppm"),
        ("-5s", "a: clock 5 s behind"),
        ("0", "a: clock right"),
    ],
)
def test_a_clock_has_an_offset_and_a_drift(value, said):
    topology = loads(f"{HEAD}  - {{at: 1s, node: a, clock: {value}}}\n", "file.yml")
    assert [str(step.what) for step in in_time(topology)] == [said]


@pytest.mark.parametrize("value", ["30", "soon", "{drift: 100}", "{drift: 600000ppm}", "4000000000s", "{ahead: 3s}"])
def test_faults_of_a_clock(value):
    with pytest.raises(TopologyError, match="clock"):
        loads(f"{HEAD}  - {{at: 1s, node: a, clock: {value}}}\n", "file.yml")


def test_heal_all_sets_clocks_right():
    topology = loads(f"{HEAD}  - {{at: 1s, node: a, clock: 5s}}\n  - {{at: 2s, heal: all}}\n", "file.yml")
    state, (wrong, healed) = TimelineState(topology), in_time(topology)
    state.apply(wrong.what)
    assert list(map(str, state.faults_of(healed.what))) == ["a: clock right"]


def test_an_event_that_happens_again_at_once_is_refused_before_all_of_its_times_are_in_memory():
    event = "{at: 0s, every: 1ns, until: 4s, link: {between: [a, b]}, loss: [1%, 2%]}"
    with pytest.raises(TopologyError, match=r"too-many-changes: .* more than 20000 events"):
        loads(f"{HEAD}  - {event}\n", "file.yml")


@pytest.mark.parametrize(
    ("event", "said", "hint"),
    [
        ("node: a, pasue: 1s", 'names node "a", and nothing that happens to it', 'did you mean "pause"?'),
        ("node: a", 'names node "a", and nothing that happens to it', "events are: rebind, pause"),
        ("prtition: [[a], [b]]", "does not say what happens", 'did you mean "partition"?'),
    ],
)
def test_an_event_that_says_nothing_known(event, said, hint):
    with pytest.raises(TopologyError) as raised:
        loads(f"name: a\nnodes: {{a: , b: }}\ntimeline: [{{at: 1s, {event}}}]\n", "file.yml")
    (problem,) = raised.value.problems
    assert problem.code == "missing-key"
    assert said in problem.message
    assert hint in problem.hint
