"""`match` in a file: which links it makes, and which errors it gives, at their places."""

import pytest

from testbed.impairments import CLEAR, Blackhole
from testbed.matching import LinkKey, Match
from testbed.plan import resolve
from testbed.plan.forwarding import longest_ns
from testbed.topology import TopologyError, loads
from testbed.topology.steps import in_time
from testbed.topology.timeline_state import TimelineState

DNS = Match(protocol=17, port=((53, 53),))
ICMP = Match(protocol=1)
EF = Match(dscp=46)


def file(*links, more=""):
    return "name: x\nnodes: {a: , b: }\nlinks:\n" + "".join(f"  - {link}\n" for link in links) + more


def planned(*links, more=""):
    return resolve(loads(file(*links, more=more), "x.yml"))


def problems(*links, more=""):
    with pytest.raises(TopologyError) as caught:
        loads(file(*links, more=more), "x.yml")
    return [(each.line, each.column, each.code, each.message, each.hint) for each in caught.value.problems]


def test_links_with_a_match_are_links_of_their_own():
    plan = planned(
        "{between: [a, b], match: {protocol: udp, port: 53}, loss: 20%}",
        "{from: a, to: b, delay: 20ms}",
        "{from: a, to: b, match: {dscp: ef}}",
    )
    assert [(link.name, link.impairments.describe()) for link in plan.links] == [
        ("a -> b (udp port 53)", "loss 20 %"),
        ("b -> a (udp port 53)", "loss 20 %"),
        ("a -> b", "delay 20 ms"),
        ("a -> b (dscp EF)", "clear"),
    ]
    assert len({link.seed for link in plan.links}) == 4
    alone = planned("{from: a, to: b, delay: 20ms}")
    assert alone.links[0].seed == plan.links[2].seed
    assert alone.digest != plan.digest
    assert type(plan).from_json(plan.to_json()) == plan


def test_one_direction_overrides_both_of_the_same_match_only():
    plan = planned(
        "{from: a, to: b, match: {port: 53}, delay: 1ms}",
        "{between: [a, b], match: {port: 53}, delay: 2ms}",
        "{between: [a, b], delay: 3ms}",
    )
    assert {link.name: link.impairments.delay_ns for link in plan.links} == {
        "a -> b (port 53)": 10**6,
        "b -> a (port 53)": 2 * 10**6,
        "a -> b": 3 * 10**6,
        "b -> a": 3 * 10**6,
    }


def test_a_queue_in_bdp_takes_the_delay_of_the_answers():
    plan = planned(
        "{between: [a, b], match: {port: 53}, delay: 30ms, rate: 10mbit, queue: 1bdp}",
        "{from: a, to: b, match: {dscp: EF}, delay: 30ms, rate: 10mbit, queue: 1bdp}",
        "{from: b, to: a, delay: 70ms}",
    )
    queues = {link.name: link.impairments.bottleneck.queue_bytes for link in plan.links if link.impairments.bottleneck}
    assert queues == {"a -> b (port 53)": 75_000, "b -> a (port 53)": 75_000, "a -> b (dscp EF)": 125_000}


@pytest.mark.parametrize(
    ("match", "column", "code", "said"),
    [
        ("{protocol: upd}", 41, "unknown-value", 'is "upd", which is not a protocol'),
        ("{protocol: 256}", 41, "bad-value", "is 256, must be at most 255"),
        ("{protocol: icmp, port: 53}", 53, "conflicting-keys", "is given, and icmp has no ports"),
        ("{port: [53, 70000]}", 42, "bad-value", "port[1] is 70000, must be from 1 to 65535"),
        ("{port: 0}", 37, "bad-value", "is 0, must be from 1 to 65535"),
        ("{port: 20-10}", 37, "bad-value", "is 20-10, which begins behind its end"),
        ("{port: dns}", 37, "bad-value", 'is "dns", which is not a port'),
        ("{port: []}", 37, "wrong-length", "has 0 entries, must have at least 1"),
        ("{port: 1, source_port: 2}", 53, "conflicting-keys", "is given beside port, which is either"),
        ("{dscp: 64}", 37, "bad-value", "is 64, must be at most 63"),
        ("{dscp: AF50}", 37, "unknown-value", 'is "AF50", which is not a DSCP'),
        ("{}", 30, "missing-key", "names nothing"),
        ("udp", 30, "wrong-type", "must be a mapping"),
        ("{protcol: udp}", 31, "unknown-key", 'has no key "protcol"'),
    ],
)
def test_a_wrong_match_is_an_error_at_its_place(match, column, code, said):
    [found] = problems(f"{{between: [a, b], match: {match}, loss: 1%}}")
    assert found[:3] == (4, column, code)
    assert said in found[3]


def test_an_unknown_protocol_has_a_suggestion():
    [found] = problems("{from: a, to: b, match: {protocol: upd}}")
    assert found[4].startswith('did you mean "udp"?')


def test_a_match_that_repeats_or_gets_no_packet_is_an_error():
    found = problems(
        "{between: [a, b], match: {protocol: udp}}",
        "{between: [b, a], match: {protocol: 17}}",
        "{from: a, to: b, match: {protocol: udp, port: 53}}",
        "{from: a, to: b, match: {port: 53}}",
    )
    assert [(each[0], each[2]) for each in found] == [(5, "duplicate-link"), (6, "unreachable-match")]
    assert "udp port 53, and links[1] at line 5 takes all of that on a -> b" in found[1][3]


def test_events_are_about_matches_that_are_there():
    work = "workloads: [{name: w, kind: udp-stream, from: a, to: b, duration: 5s}]\ntimeline:\n"
    events = "  - {at: 1s, link: {from: a, to: b, match: {protocol: tcp}}, loss: 1%}\n"
    events += "  - {at: 2s, heal: {between: [a, b], match: {port: 53}}}\n"
    found = problems("{from: a, to: b, match: {port: 53}}", more=work + events)
    assert [each[2] for each in found] == ["unknown-match", "unknown-match"]
    assert "is tcp, which no line under links about a -> b is for" in found[0][3]
    assert "about b -> a is for" in found[1][3]


def test_a_partition_is_allowed_no_match():
    work = "workloads: [{name: w, kind: udp-stream, from: a, to: b}]\n"
    [found] = problems(
        "{from: a, to: b}", more=work + "timeline: [{at: 1s, partition: [[a], [b]], match: {port: 1}}]\n"
    )
    assert found[2] == "unknown-key"


def test_events_change_the_link_that_they_name_and_partitions_all():
    work = "workloads: [{name: w, kind: udp-stream, from: a, to: b, duration: 9s}]\ntimeline:\n"
    events = (
        "{at: 1s, link: {between: [a, b], match: {protocol: icmp}}, delay: 9ms}",
        "{at: 2s, link: {from: a, to: b}, loss: 5%}",
        "{at: 3s, partition: [[a], [b]]}",
        "{at: 4s, heal: {from: a, to: b, match: {dscp: EF}}}",
        "{at: 5s, heal: {from: a, to: b}}",
        "{at: 6s, heal: all}",
    )
    topology = loads(
        file(
            "{between: [a, b], match: {protocol: icmp}, delay: 5ms}",
            "{from: a, to: b, match: {dscp: EF}}",
            more=work + "".join(f"  - {event}\n" for event in events),
        ),
        "x.yml",
    )
    state = TimelineState(topology)
    found = [state.apply(step.what) for step in in_time(topology)]
    a_b, b_a = LinkKey("a", "b", "lan"), LinkKey("b", "a", "lan")
    icmp, ef = a_b._replace(match=ICMP), a_b._replace(match=EF)
    assert [{*changes} for changes in found] == [
        {icmp, icmp.back},
        {a_b},
        {a_b, b_a, icmp, icmp.back, ef},
        {ef},
        {a_b, icmp},
        {b_a, icmp.back},
    ]
    assert all(isinstance(one.loss, Blackhole) for one in found[2].values())
    assert (found[3][ef], found[4][a_b]) == (CLEAR, CLEAR)
    assert found[4][icmp].describe() == "delay 5 ms"
    assert planned_names(topology)[0] == "a <-> b (icmp): delay 9 ms"


def planned_names(topology):
    return [event.what for event in resolve(topology).timeline]


def test_workloads_wait_for_the_lines_that_their_packets_can_take():
    links = ("{between: [a, b], match: {protocol: udp}, delay: 7s}", "{between: [a, b], delay: 1s}")
    work = "workloads: [{name: udp, kind: udp-rr, from: a, to: b}, {name: tcp, kind: tcp-rr, from: a, to: b}]\n"
    plan = planned(*links, more=work)
    udp, tcp = plan.workloads
    assert longest_ns(plan, "a", "b", udp.packets) == 7 * 10**9
    assert longest_ns(plan, "a", "b", tcp.packets) == 10**9
    assert udp.parameters["timeout_ns"] >= 14 * 10**9


def test_a_path_is_too_long_for_a_workload_only_by_the_lines_of_its_packets():
    work = "workloads: [{name: w, kind: tcp-rr, from: a, to: b}]\n"
    assert planned("{between: [a, b], match: {protocol: udp}, delay: 40s}", more=work)
    [found] = problems("{between: [a, b], match: {protocol: tcp}, delay: 40s}", more=work)
    assert found[2] == "path-too-long"
