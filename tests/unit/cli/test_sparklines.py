import pytest

from testbed.analysis.samples import Samples
from testbed.cli.sparklines import over_time, sparkline
from testbed.endpoint.columns import encode
from testbed.records import parse_object

MS = 1_000_000


@pytest.fixture
def samples(plan):
    return Samples(plan.workloads[0])


def tell(samples, *lines):
    for line in lines:
        samples.add(parse_object(line))
    samples.messages.finish()
    return samples


def test_bars_are_from_zero_to_the_greatest():
    assert sparkline([0, 4, 8, None, 2]) == "▁▅█ ▃"
    assert sparkline([0, 0]) == "▁▁"
    assert sparkline([None]) == " "


def test_goodput_is_shown_where_there_is_any(samples):
    heard = {"node": "server", "event": "bytes", "start_ns": 0, "bucket_ns": 100 * MS, "bytes": encode([0, 8, 8, 4])}
    assert over_time(tell(samples, heard), 4) == "▁██▅"
    assert over_time(samples, 2) == "▆█"


def test_without_goodput_the_greatest_latencies_are_shown(samples):
    sent = [0, 100 * MS, 200 * MS, 300 * MS]
    arrived = [at + 10 * MS for at in sent[:2]] + [390 * MS]
    told = (
        {"node": "client", "event": "sent", "first": 0, "sent_ns": encode(sent)},
        {"node": "client", "event": "received", "seq": encode([0, 1, 3]), "received_ns": encode(arrived)},
    )
    assert over_time(tell(samples, *told), 4) == "▁▁ █"


def test_without_samples_there_is_no_sparkline(samples):
    assert over_time(tell(samples), 9) == ""
