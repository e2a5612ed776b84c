import pytest

from testbed.report.goodput import jain
from testbed.results.samples import Flow

MS = 1_000_000


@pytest.mark.parametrize(("shares", "index"), [([1, 1], 1), ([1, 0], 0.5), ([2, 1], 0.9), ([1, 1, 1, 1], 1)])
def test_jains_index(shares, index):
    flows = []
    for share in shares:
        flow = Flow()
        for number in range(10):
            flow.add(number * 100 * MS, share * 1000)
        flows.append(flow)
    assert jain(flows) == pytest.approx(index)


def test_flows_that_never_met_share_nothing():
    first, second = Flow(), Flow()
    first.add(100 * MS, 1)
    second.add(900 * MS, 1)
    assert jain([first, second]) is None
    assert jain([first]) is None
