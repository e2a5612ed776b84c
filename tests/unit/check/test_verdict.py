from dataclasses import replace

from testbed import codec
from testbed.check import LinkCheck
from testbed.check.judging import judge
from testbed.check.samples import ProbeSample
from testbed.check.verdict import unmeasured
from testbed.impairments import (
    CERTAIN,
    GilbertElliott,
    Impairments,
)

SHAPE = Impairments(delay_ns=20_000_000, loss=GilbertElliott(to_bad=CERTAIN // 50, to_good=CERTAIN // 4))
FOUND = ProbeSample(sent=1000, arrived=940, delays_ns=[20_100_000] * 940, runs=15)
CHECK = LinkCheck(
    source="client",
    destination="server",
    network="wan",
    asked=SHAPE,
    sent=FOUND.sent,
    arrived=FOUND.arrived,
    findings=judge(SHAPE, FOUND, level=0.001),
)


def test_a_link_that_could_not_be_probed_has_not_passed():
    broken = replace(CHECK, findings=(), problem="no agent")
    assert not broken.passed
    assert broken.verdict == "not measured: no agent"


def test_a_property_not_measured_is_a_reservation_and_passes():
    silent = replace(CHECK, findings=(unmeasured("drops", 1, "a script"),))
    assert silent.passed
    assert silent.reservations == ("drops not measured: a script",)


def test_it_is_readable_where_python_shows_it():
    assert repr(CHECK) == (
        "<check of client -> server on wan: as requested; "
        "requested delay 20 ms, loss 7.41 % in bursts of 4, 940 of 1000 probes arrived>"
    )


def test_json_and_back():
    assert codec.decode(codec.encode(CHECK), LinkCheck) == CHECK
    assert codec.encode(CHECK)["passed"] is True
