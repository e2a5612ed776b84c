"""Lines of records, moved from one clock to another."""

import json

from hypothesis import given
from hypothesis import strategies as st

from testbed.endpoint import columns
from testbed.records import Sent, events, moved, parse
from testbed.records.moving import INSTANTS

TIMES = st.lists(st.integers(0, 1 << 50), min_size=1, max_size=20)


@given(TIMES, st.integers(-(1 << 50), 1 << 50))
def test_all_instants_of_a_column_move_alike(times, by_ns):
    line = json.dumps({"event": "sent", "first": 7, "sent_ns": columns.encode(times)})
    after = parse(moved(line, by_ns=by_ns))
    assert isinstance(after, Sent)
    assert list(after.sent_ns) == [time + by_ns for time in times]
    assert after.first == 7


def test_lengths_of_time_stay():
    line = '{"event":"bytes","start_ns":100,"bucket_ns":20,"bytes":[5,1]}'
    assert json.loads(moved(line, by_ns=-30)) == {"event": "bytes", "start_ns": 70, "bucket_ns": 20, "bytes": [5, 1]}


def test_what_is_not_known_stays():
    for line in ("no JSON", "[1]", '{"event":"end","first_byte_ns":null}', '{"event":"listening"}', '{"sent_ns":[]}'):
        assert moved(line, by_ns=5) in (line, line.replace(" ", ""))


def test_every_instant_of_the_declared_lines_is_known():
    lengths = {"bucket_ns"}
    declared = {name for kind in events.TYPED for name in kind.__struct_fields__ if name.endswith("_ns")}
    assert declared - lengths <= INSTANTS
