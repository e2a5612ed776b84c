"""Links of a real lab, measured: those impaired as the plan says pass, any other fails."""

import math
from dataclasses import replace

import pytest

from testbed import check
from testbed.agent import messages
from testbed.lab import Lab, bringup
from testbed.topology import loads
from tests.conftest import unused_name
from tests.live.lateness import is_lateness

pytestmark = [pytest.mark.live, pytest.mark.netns]

ATTEMPTS = 3
"""Until a machine that is busy has sent fast enough, and soon enough, to tell of a rate, a jitter or a queue."""
BRIEF = replace(check.QUICK, probes_ns=800_000_000)

TOPOLOGY = """
name: check
nodes: {client: , server: }
links:
  - {from: client, to: server, delay: 20ms, loss: 5%, rate: 20mbit, queue: 50ms}
  - {from: server, to: client, delay: 60ms, jitter: 20ms}
"""


@pytest.fixture(scope="module")
def lab():
    with unused_name() as name, Lab.up(loads(TOPOLOGY, "check"), name=name, runtime="netns") as up:
        yield up


@pytest.fixture
def changed(lab):
    """A link that does something else than the plan says, during a test."""
    yield lambda source, destination, **changes: lab.link(source, destination).update(**changes)
    for link in lab.plan.links:
        lab.agent.call(messages.Impair(links=bringup.as_requests(lab.plan, [link])))


def measured(lab, depth=BRIEF, enough=lambda _: True, links=None):
    """Measure links, again as long as what was found is not enough, as it is where this machine was too busy."""
    for _ in range(ATTEMPTS):
        found = check.measure(lab.plan, lab, depth=depth, links=links)
        if enough(found):
            break
    return found


def every_value(found):
    """Whether everything about links was measured."""
    return all(each.findings and all(one.measured is not None for one in each.findings) for each in found)


def value(found, name):
    """What was measured of a property of a link, None where it says that it could not be measured."""
    finding = found.finding(name)
    if finding is None or finding.measured is None:
        assert found.skipped or "not measured" in finding.verdict, found
        return None
    return finding.measured


def faults(found):
    """What is wrong with a link, but for what this machine may be too busy for: tests don't depend on its speed."""
    return [f"{each.name} {each.verdict}" for each in found.findings if not each.passed and not is_lateness(each)]


def test_links_as_asked_pass(lab):
    there, back = measured(lab, replace(BRIEF, queues=True), every_value)
    assert (there.link, back.link) == ("client -> server", "server -> client")
    assert (faults(there), faults(back)) == ([], [])
    for link, name, least, most in (
        (there, "delay", 20_000_000, math.inf),
        (there, "loss", 0.001, 0.2),
        (there, "rate", 1, 20e6 * 1.02),
        (there, "queue", 125_000 * 0.9, math.inf),
        (back, "loss", 0, 0),
        (back, "jitter", 5_000_000, math.inf),
    ):
        found = value(link, name)
        assert found is None or least <= found <= most, (name, found)


@pytest.mark.parametrize(
    ("changes", "verdicts"),
    [
        ({"delay": "40ms", "loss": "20%", "rate": "15mbit"}, ("delay too high", "loss too high", "rate too low")),
        ({"delay": "10ms", "loss": "0%", "rate": "30mbit"}, ("delay too low", "loss too low", "rate too high")),
        ({"jitter": "20ms"}, ("jitter too high",)),
        ({"loss": "100%"}, ("loss of everything: nothing arrives",)),
    ],
)
def test_a_link_that_does_something_else_fails_and_the_other_does_not(lab, changed, changes, verdicts):
    changed("client", "server", **changes)
    there, back = measured(lab, enough=lambda found: all(verdict in found[0].verdict for verdict in verdicts))
    assert "as requested" not in {finding.verdict for finding in there.findings if finding.name in changes}
    unmeasured = [
        finding.name for finding in there.findings if "not measured" in finding.verdict
    ]  # too busy till the end
    assert {verdict.split()[0] for verdict in verdicts if verdict not in there.verdict} <= {*unmeasured}, there
    assert faults(back) == []


def test_another_jitter_fails(lab, changed):
    changed("server", "client", jitter="0ms")
    differs = "distribution differs from the requested one"
    there, back = measured(lab, enough=lambda found: differs in found[1].verdict)
    assert differs in back.verdict or value(back, "distribution") is None
    assert faults(there) == []


@pytest.mark.parametrize(("queue", "verdict"), [("100ms", "queue too deep"), ("20ms", "queue too shallow")])
def test_another_queue_fails(lab, changed, queue, verdict):
    changed("client", "server", queue=queue)
    depth = replace(BRIEF, queues=True)
    (there,) = measured(lab, depth, lambda found: verdict in found[0].verdict, lab.plan.links[:1])
    assert verdict in there.verdict or value(there, "queue") is None


def test_a_link_is_compared_with_what_is_set_now(lab, changed, tmp_path):
    changed("client", "server", delay="80ms", loss="10%")
    there = next(each for each in lab.check(budget_s=60) if each.link == "client -> server")
    assert (there.asked.delay_ns, there.finding("loss").asked) == (80_000_000, pytest.approx(0.1))
    assert faults(there) == []
    run = lab.run(tmp_path, check_budget_s=60)
    assert run.checks[0].asked.delay_ns == 80_000_000
    [difference] = run.changed_links
    assert difference.startswith("client -> server delay 80 ms, loss 10 %")
    assert "(file: delay 20 ms, loss 5 %" in difference


def test_a_link_that_was_clear_is_checked_once_it_is_impaired(lab_name):
    with Lab.up(loads("name: clear\nnodes: {a: , b: }\n", "clear"), name=lab_name, runtime="netns") as clear:
        assert clear.check() == ()
        clear.link("a", "b").update(delay="30ms")
        [found] = clear.check()
    assert (found.link, found.asked.delay_ns) == ("a -> b", 30_000_000)
    assert faults(found) == []


def test_a_run_without_a_check_is_not_trusted(lab, tmp_path):
    run = lab.run(tmp_path, check=False)
    assert run.checks == ()
    assert not run.trusted
    assert check.UNCHECKED in run.why_not_trusted


def test_reordering_and_fast_rates_are_as_requested_or_not_measured(lab_name):
    requested = {"b": "1ms, reorder: 20%", "c": "2ms, reorder: 20%", "d": "100ms, reorder: 20%"}
    requested |= {"e": "5ms, rate: 400mbit", "f": "5ms, rate: 3.12gbit", "g": "5ms, rate: 10gbit"}
    links = "".join(f"  - {{from: a, to: {node}, delay: {what}}}\n" for node, what in requested.items())
    text = f"name: limits\nnodes: {{a: , {': , '.join(requested)}: }}\nlinks:\n{links}"
    with Lab.up(loads(text, "limits"), name=lab_name, runtime="netns") as limits:
        found = check.measure(limits.plan, limits, depth=BRIEF, budget_s=60)
    assert [faults(each) for each in found] == [[]] * len(requested)
    for each in found:
        rate = each.finding("rate")
        if rate is not None and rate.measured is not None:
            assert rate.measured == pytest.approx(rate.asked, rel=0.021)


def test_the_engines_counters_are_understood(lab):
    statistics = lab.statistics()
    assert {link.engine for link in statistics} <= {"userspace", "netem"}
    assert all(link.counts.packets_out is not None for link in statistics)
    assert not any("is dead" in reason or "the MTU" in reason for reason in check.trust(statistics))
