"""Links of a real lab, measured: those shaped as the plan says pass, any other fails."""

import pytest

from testbed import check
from testbed.agent.userspace.stats import LinkStats
from testbed.lab import Lab
from testbed.topology import load

pytestmark = [pytest.mark.live, pytest.mark.netns]

TOPOLOGY = """
name: check
networks: {wan: {}}
nodes: {client: {networks: [wan]}, server: {networks: [wan]}}
links:
  - {from: client, to: server, delay: 20ms, loss: 5%}
  - {from: server, to: client, delay: 30ms, jitter: 5ms}
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    path = tmp_path_factory.mktemp("check") / "check.yml"
    path.write_text(TOPOLOGY)
    with Lab.up(load(path), name="test-check", runtime="netns") as up:
        yield up


@pytest.fixture
def changed(lab):
    """A link that does something else than the plan says, during a test."""
    yield lambda source, destination, **changes: lab.link(source, destination).update(**changes)
    lab.link("client", "server").update(delay="20ms", loss="5%")
    lab.link("server", "client").update(delay="30ms", jitter="5ms", loss="0%")


def test_links_as_asked_pass(lab):
    there, back = lab.check()
    assert (there.link, back.link) == ("client -> server", "server -> client")
    assert (there.verdict, back.verdict) == ("as asked", "as asked")
    assert there.finding("delay").measured >= 20_000_000
    assert 0 < there.finding("loss").measured < 0.2
    assert back.finding("loss").measured == 0
    assert back.finding("jitter").measured > 1_000_000


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({"delay": "40ms"}, "delay too high"),
        ({"delay": "10ms"}, "delay too low"),
        ({"loss": "20%"}, "loss too high"),
        ({"loss": "0%"}, "loss too low"),
        ({"loss": "100%"}, "loss of everything: nothing arrives"),
        ({"jitter": "20ms"}, "jitter too high"),
    ],
)
def test_a_link_that_does_something_else_fails_and_the_other_does_not(lab, changed, changes, verdict):
    changed("client", "server", **changes)
    there, back = lab.check()
    assert not there.passed
    assert verdict in there.verdict
    assert back.verdict == "as asked"


def test_the_engines_counters_are_understood(lab):
    statistics = lab.statistics()
    assert {link["engine"] for link in statistics} <= {"userspace", "netem"}
    for link in statistics:
        if link["engine"] == "userspace":
            LinkStats.from_json(link["counts"])
    assert all("late" in reason for reason in check.trust(statistics))
