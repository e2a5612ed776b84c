from dataclasses import replace

import pytest

from testbed import codec
from testbed.agent.messages import AttachmentReport, Incident, LinkStatistics
from testbed.check import UNCHECKED, LinkCheck, disturbances, late_senders, trust, unmeasured_links
from testbed.engines.counters import Counters
from testbed.impairments import Impairments


def link(counts, engine="userspace", delay_ns=20_000_000, source="client"):
    return LinkStatistics(
        source=source,
        destination="server",
        network="wan",
        engine=engine,
        why="",
        impairments=Impairments(delay_ns=delay_ns),
        counts=counts,
    )


def test_an_engine_that_kept_up_is_trusted():
    counts = Counters(packets_in=100, packets_out=90, lost=5, queue_drops=5, lateness_p99_ns=300_000)
    kernel = Counters(packets_out=90, bytes_out=9000, lost=5, queue_drops=5, queued=0, queued_bytes=0)
    assert trust([link(counts), link(kernel, engine="netem")]) == ()


@pytest.mark.parametrize("fault", ["kernel_drops", "backlog_drops", "oversize", "send_failures"])
def test_a_packet_that_the_impairments_would_not_have_dropped_is_a_reason(fault):
    (reason,) = trust([link(codec.decode({fault: 3}, Counters))])
    assert reason.startswith("client -> server on wan: 3 packets")


def test_the_port_of_a_node_that_the_timeline_switches_off_may_refuse_packets():
    refused, dropped = Counters(send_failures=3), Counters(kernel_drops=3)
    assert trust([link(refused)], switched_off={"server"}) == ()
    assert len(trust([link(refused)], switched_off={"client"})) == 1
    assert len(trust([link(dropped)], switched_off={"server"})) == 1


def test_faults_before_the_run_do_not_count():
    before, after = link(Counters(kernel_drops=3)), link(Counters(kernel_drops=4))
    assert trust([before], before=[before]) == ()
    assert trust([after], before=[before])[0].startswith("client -> server on wan: 1 packets")


def test_a_dead_link_is_a_reason():
    assert trust([link(Counters(dead="its port is gone"))]) == (
        "client -> server on wan: the link is dead: its port is gone",
    )


def test_a_link_whose_counters_are_gone_is_a_reason():
    assert trust([], before=[link(Counters())]) == ("client -> server on wan: its counters are gone",)


@pytest.mark.parametrize(
    ("delay_ns", "late_ns", "trusted"), [(0, 4_900_000, True), (0, 5_100_000, False), (10**9, 9 * 10**7, True)]
)
def test_lateness_has_a_bound(delay_ns, late_ns, trusted):
    assert (trust([link(Counters(lateness_p99_ns=late_ns), delay_ns=delay_ns)]) == ()) is trusted


def test_the_same_reason_of_several_links_is_given_once_with_the_worst():
    links = [
        link(Counters(lateness_p99_ns=late_ns, kernel_drops=drops), source=name)
        for name, late_ns, drops in (("a", 6_000_000, 0), ("b", 12_600_000, 1), ("c", 8_000_000, 2))
    ]
    late, drops = sorted(trust(links), key=lambda reason: "late" not in reason)
    assert late.startswith("3 links: one packet in 100 left 12.6 ms late or more")
    assert late.endswith("(the worst of them: b -> server on wan)")
    assert drops.startswith("2 links: 2 packets dropped by the kernel")


MS = 1_000_000


def test_a_sender_that_kept_its_times_is_trusted():
    assert late_senders([("voice", 5 * MS, 20 * MS), ("slow", 90 * MS, 1000 * MS)]) == ()


def test_a_late_sender_is_a_reason_with_the_worst_of_several_named():
    (reason,) = late_senders([("voice", 62 * MS, 20 * MS)])
    assert reason.startswith("workload voice: one message in 100 was sent 62.0 ms late or more, 5 ms are the most")
    (reason,) = late_senders([("a", 6 * MS, 0), ("voice", 62 * MS, 20 * MS), ("b", 1 * MS, 0)])
    assert reason.startswith("2 workloads: one message in 100 was sent 62.0 ms late")
    assert "the worst of them: workload voice" in reason


def attachments(*incidents, problems=(), **dropped):
    happened = tuple(Incident(number=number, at_ns=0, what=what) for number, what in enumerate(incidents, 1))
    return AttachmentReport(problems=tuple(problems), notes=(), incidents=happened, unknown_dropped=dropped)


def test_an_incident_of_a_node_during_a_run_is_a_reason():
    before = attachments("early", b=2)
    after = attachments("early", "late", "late", problems=["node b does not run"], b=5, c=0)
    assert disturbances(before, after) == (
        "late",
        "node b does not run",
        "b: 3 packets were dropped because their source MAC is no node's",
    )
    assert disturbances(after, attachments("early", "late", "late", b=5)) == ()


def test_a_reason_of_any_engine_counts_as_far_as_it_has_that_counter():
    other = link(Counters(packets_out=10, send_failures=2), engine="another")
    assert trust([other]) == ("client -> server on wan: 2 packets that the receiver's port refused",)
    gone = link(Counters(dead="node server does not run"), engine="netem")
    assert trust([gone]) == ("client -> server on wan: the link is dead: node server does not run",)


def test_a_run_none_of_whose_links_was_measured_is_not_trusted():
    asked = Impairments(delay_ns=20_000_000)
    found = LinkCheck(source="a", destination="b", network="wan", asked=asked, sent=9, arrived=9, findings=())
    late = replace(found, sent=0, arrived=0, skipped="it takes 90 s, the check may take 20 s (--check-budget)")
    assert unmeasured_links(None) == (UNCHECKED,)
    assert unmeasured_links([late, late]) == (f"no link was measured: {late.skipped}",)
    assert unmeasured_links([late, found]) == unmeasured_links([found]) == unmeasured_links([]) == ()
