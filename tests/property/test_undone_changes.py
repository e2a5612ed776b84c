"""A change of a link and its undoing: the same impairments as before, whether a person or the timeline made them."""

from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from hypothesis import given, reject
from hypothesis import strategies as st

from testbed.errors import UsageError
from testbed.impairments import (
    Blackhole,
    Impairments,
)
from testbed.plan import changes, resolve
from testbed.topology import TopologyError, loads
from tests.property.test_topology_impairment import IMPAIRMENTS, mapping

FOLDER = Path(__file__).parents[2] / "topologies"

NEUTRAL = {
    "delay": "0",
    "jitter": "0",
    "loss": "0%",
    "drop": [],
    "blackhole": False,
    "corrupt": "0%",
    "duplicate": "0%",
    "reorder": "0%",
    "rate": "0",
    "overhead": "0B",
}
"""What a file would say of what it does not ask for."""


SHARES = st.integers(0, 1000).map(lambda mille: f"{mille / 10}%")
CORRELATION = {"correlation": SHARES}
SHORT = st.integers(0, 20).map("{}ms".format)
LONG = st.integers(20, 2000).map("{}ms".format)
LIMITS = st.sampled_from(["64KB", "100 packets", "100ms", "1s"])  # one in bdp stays as it was when it was given
KEYS = mapping(
    {},
    delay=LONG,
    jitter=SHORT | mapping({"spread": SHORT}, distribution=st.sampled_from(["normal", "pareto"]), **CORRELATION),
    loss=SHARES
    | mapping({"rate": SHARES}, **CORRELATION)
    | mapping({"rate": st.sampled_from(["1%", "5%"]), "burst": st.integers(2, 9)})
    | mapping({"to_bad": SHARES, "to_good": SHARES}, good=SHARES, bad=SHARES),
    drop=st.lists(st.integers(1, 99), unique=True, max_size=4).map(sorted)
    | mapping({"packets": st.sampled_from(["any", "udp", "syn"]), "every": st.integers(1, 9)}),
    blackhole=st.booleans(),
    corrupt=SHARES | mapping({"rate": SHARES}, checksum=st.sampled_from(["keep", "fix"]), **CORRELATION),
    duplicate=SHARES | mapping({"rate": SHARES}, **CORRELATION),
    reorder=mapping({"rate": SHARES, "late": st.just("5ms")}, gap=st.integers(1, 9), **CORRELATION),
    rate=st.integers(1, 1000).map("{}mbit".format)
    | st.just("0")
    | mapping({"trace": st.sampled_from(["traces/mobile.trace", "traces/train.csv"])}),
    overhead=st.integers(0, 1000).map("{}B".format),
    # With a limit: one that a change does not name stays.
    queue=LIMITS
    | mapping({"limit": LIMITS}, discipline=st.sampled_from(["droptail", "drophead"]))
    | mapping({"limit": LIMITS, "discipline": st.sampled_from(["codel", "fq_codel"])}, ecn=st.booleans()),
)
"""Keys of a link that can be had together, but for a queue or an overhead without a rate."""


def has_rate(keys):
    return keys.get("rate", "0") != "0"


def bare(keys):
    """The keys without those that need a rate."""
    return {key: value for key, value in keys.items() if key not in ("queue", "overhead")}


def after(state, change):
    """What a file would have that asks at once for all that is asked for by then."""
    ended = {"blackhole"} if "loss" in change and "blackhole" not in change else set()
    return {key: value for key, value in {**state, **change}.items() if key not in ended}


def undo(first, change):
    """What names every key of a change again, as the file had it."""
    named = set(change) | ({"blackhole"} if "loss" in change and first.get("blackhole") else set())
    if not has_rate(first):
        named -= {"queue", "overhead"}  # the bottleneck that they are of goes
    return {key: first[key] if key in first else NEUTRAL[key] for key in named}


def planned(first, *events):
    """A plan whose link from a to b is asked for the first keys, and for those of each event in turn."""
    timeline = [{"at": f"{at}s", "link": {"from": "a", "to": "b"}, **keys} for at, keys in enumerate(events, 1)]
    text = yaml.safe_dump(
        {
            "name": "x",
            "nodes": {"a": None, "b": None},
            "links": [{"from": "a", "to": "b", **first}],
            "workloads": [{"name": "w", "kind": "tcp-stream", "from": "a", "to": "b", "duration": "60s"}],
            **({"timeline": timeline} if timeline else {}),
        }
    )
    return resolve(loads(text, "file.yml", FOLDER))


def effective(impairments):
    """The impairments without what has no effect."""
    bottleneck, loss = impairments.bottleneck, impairments.loss
    return replace(
        impairments,
        loss=Blackhole() if isinstance(loss, Blackhole) else loss,
        bottleneck=replace(bottleneck, queue_ns=0) if bottleneck else None,
        hidden_bottleneck=None,
    )


def by_timeline(plan):
    """The link's impairments: the file's, and after each event."""
    all_impairments = [next((link.impairments for link in plan.links if link.source == "a"), Impairments())]
    for event in plan.timeline:
        all_impairments.append(event.changes[0].impairments if event.changes else all_impairments[-1])
    return all_impairments


def by_hand(plan, *asked):
    link = changes.locate(plan, "a", "b")
    all_impairments = [link.impairments]
    for keys in asked:
        link = changes.changed(plan, link, keys)
        all_impairments.append(link.impairments)
    return all_impairments


@pytest.fixture(autouse=True)
def _traces_are_here(monkeypatch):
    monkeypatch.chdir(FOLDER)


@st.composite
def histories(draw):
    """Keys of a link, and changes that are possible one after the other."""
    first = {"delay": draw(LONG), "queue": draw(LIMITS), **draw(KEYS)}  # a delay that is more than any jitter
    states, changes_made = [first if has_rate(first) else bare(first)], []
    for change in draw(st.lists(KEYS.filter(bool), min_size=1, max_size=3)):
        state = {**states[-1], **change}
        possible = change | ({"queue": draw(LIMITS)} if "queue" not in state else {})
        possible = possible if has_rate(state) else bare(change)
        if possible:
            changes_made.append(possible)
            states.append(after(states[-1], possible))
    return states, changes_made


@given(histories())
def test_a_change_undone_gives_the_same_impairments_whatever_there_was_before(history):
    states, made = history
    asked = []
    for state, change in zip(states, made, strict=False):
        asked += [change, undo(state, change), change]
    plan = planned(states[0], *asked)
    all_impairments = by_timeline(plan)
    for before, undone in zip(all_impairments[:-1:3], all_impairments[2::3], strict=True):
        assert effective(before) == effective(undone)
    assert by_hand(plan, *asked) == all_impairments


@given(IMPAIRMENTS, IMPAIRMENTS.filter(lambda keys: set(keys) - {"profile"}))
def test_by_hand_and_by_timeline_the_same_changes_are_refused(first, change):
    change.pop("profile", None)
    try:
        before = planned(first)
    except TopologyError:
        reject()
    outcomes = []
    for make in (lambda: by_timeline(planned(first, change)), lambda: by_hand(before, change)):
        try:
            outcomes.append(make())
        except UsageError:
            outcomes.append(None)
    assert outcomes[0] == outcomes[1]
