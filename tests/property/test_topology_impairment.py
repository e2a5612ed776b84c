"""Links of a file: any is impairments or a `TopologyError`; bursts are as long and as many as requested."""

from contextlib import suppress
from fractions import Fraction
from io import BytesIO
from pathlib import Path

import pytest
import yaml
from hypothesis import assume, example, given, reject
from hypothesis import strategies as st

from testbed import codec
from testbed.errors import UsageError
from testbed.impairments import (
    CERTAIN,
    GilbertElliott,
    Impairments,
)
from testbed.plan import changes, resolve
from testbed.topology import TopologyError, loads
from testbed.topology.losses import Bursts
from testbed.topology.traces import delay_steps, delays, losses, opportunities, rates

FOLDER = Path(__file__).parents[2] / "topologies"

SHARES = st.integers(0, 10**6).map(lambda millionth: f"{millionth / 10**4:.4f}%")
DURATIONS = st.integers(0, 10**6).map("{}us".format)
RATES = st.integers(0, 10**6).map("{}kbit".format)
KINDS = st.sampled_from(["any", "arp", "icmp", "udp", "tcp", "syn", "syn-ack", "ack", "data", "fin", "rst"])
NUMBERS = st.lists(st.integers(1, 99), max_size=4).map(sorted)
SHARE = {"rate": SHARES}
CORRELATION = {"correlation": SHARES}


def mapping(required, **optional):
    return st.fixed_dictionaries(required, optional=optional)


SCRIPT = mapping({}, first=KINDS, packets=KINDS, numbers=NUMBERS, every=st.integers(0, 99), port=st.integers(0, 99_999))
QUEUES = st.sampled_from(["64KB", "100 packets", "100ms", "1bdp", "1B", "1ns"])
IMPAIRMENTS = mapping(
    {},
    delay=DURATIONS,
    jitter=DURATIONS
    | mapping(
        {"spread": DURATIONS},
        distribution=st.sampled_from(["uniform", "normal", "pareto", "paretonormal"]),
        table=st.sampled_from(["traces/delays.txt", "README.md", "none"]),
        order=st.sampled_from(["keep", "free"]),
        **CORRELATION,
    ),
    loss=SHARES
    | mapping(SHARE, **CORRELATION)
    | mapping({**SHARE, "burst": st.floats(1, 100).map(lambda burst: round(burst, 3))})
    | mapping({"to_bad": SHARES, "to_good": SHARES}, good=SHARES, bad=SHARES)
    | mapping({"p13": SHARES, "p31": SHARES}, p32=SHARES, p23=SHARES, p14=SHARES),
    drop=NUMBERS | SCRIPT | st.lists(SCRIPT, max_size=3),
    blackhole=st.booleans(),
    corrupt=SHARES | mapping(SHARE, checksum=st.sampled_from(["keep", "fix"]), **CORRELATION),
    duplicate=SHARES | mapping(SHARE, **CORRELATION),
    reorder=SHARES | mapping(SHARE, gap=st.integers(0, 9), late=DURATIONS, **CORRELATION),
    rate=RATES
    | mapping({"trace": st.sampled_from(["traces/mobile.trace", "traces/train.csv", "traces/delays.txt", "lossy.yml"])})
    | mapping({"rate": RATES, "burst": st.integers(0, 10**5).map("{}B".format)}, peak=RATES),
    overhead=st.integers(0, 1100).map("{}B".format),
    queue=QUEUES
    | mapping(
        {},
        limit=QUEUES,
        discipline=st.sampled_from(["droptail", "drophead", "codel", "fq_codel"]),
        target=DURATIONS,
        interval=DURATIONS,
        ecn=st.booleans(),
    ),
    profile=st.sampled_from(["lte", "lossy", "wifi"]),
)


def plan(keys, back):
    links = [{"from": "a", "to": "b", **keys}, {"from": "b", "to": "a", **back}]
    text = yaml.safe_dump({"name": "x", "nodes": {"a": None, "b": None}, "links": links})
    return resolve(loads(text, "file.yml", FOLDER))


@given(IMPAIRMENTS, IMPAIRMENTS)
def test_any_keys_give_impairments_or_an_error_with_its_path(keys, back):
    try:
        made = plan(keys, back)
    except TopologyError:
        return
    for link in made.links:
        assert codec.decode(codec.encode(link.impairments), Impairments) == link.impairments
        assert link.impairments.describe()


@given(IMPAIRMENTS, st.sampled_from(sorted(changes.KEYS)), st.data())
def test_any_change_gives_impairments_or_a_usage_error(keys, name, data):
    try:
        made = plan(keys, {})
    except TopologyError:
        reject()
    asked = data.draw(IMPAIRMENTS.filter(lambda other: name in other))
    asked.pop("profile", None)
    values = {
        key: yaml.safe_dump(value, default_flow_style=True, width=9999).split("\n")[0] for key, value in asked.items()
    }
    try:
        changed = changes.changed(made, changes.locate(made, "a", "b"), values)
    except UsageError:
        return
    assert changed.impairments.describe()


@given(
    st.text() | st.text(alphabet="0123456789.,ms% \n-#t"),
    st.sampled_from([opportunities, rates, delay_steps, losses, lambda file: delays(file, "")]),
)
@example(str(1 << 63), opportunities)
def test_any_text_is_a_trace_or_a_value_error(text, parse):
    with suppress(ValueError):
        assert parse(BytesIO(text.encode(errors="surrogatepass")))


@given(st.integers(1, CERTAIN - 1), st.fractions(1, 10_000, max_denominator=1000))
def test_bursts_lose_the_share_asked_for_and_are_as_long_as_asked(rate, burst):
    asked = Bursts.model_construct(rate=rate, burst=burst)
    assume(not list(asked.faults()))
    chain = asked.loss
    assert isinstance(chain, GilbertElliott)
    assert (chain.loss_good, chain.loss_bad) == (0, CERTAIN)
    # The chain's stationary probability of the bad state, and the mean of the geometric length of a stay there.
    lost = Fraction(chain.to_bad, chain.to_bad + chain.to_good)
    length = Fraction(CERTAIN, chain.to_good)
    assert length == pytest.approx(burst, rel=1e-5)
    rounding = Fraction(1, 2) / chain.to_bad + Fraction(1, 2) / chain.to_good
    assert abs(lost - Fraction(rate, CERTAIN)) <= Fraction(rate, CERTAIN) * rounding * 2


@given(st.fractions(1, 1000, max_denominator=1000))
def test_bursts_can_lose_as_much_as_leaves_one_packet_between_them_and_no_more(burst):
    most = round(CERTAIN * burst / (burst + 1))
    assert not list(Bursts.model_construct(rate=most, burst=burst).faults())
    assert list(Bursts.model_construct(rate=most + 2, burst=burst).faults())
