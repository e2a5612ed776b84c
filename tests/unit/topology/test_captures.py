import pytest

from testbed.errors import TestbedError
from testbed.plan import Plan, resolve
from testbed.plan.workloads import CaptureSettings
from testbed.topology import loads

NODES = "name: x\nnodes: {client: , server: }\n"


def planned(text=""):
    return resolve(loads(NODES + text, "x.yml"))


def test_the_nodes_to_capture_at_are_named():
    assert planned("capture: [client, server]").capture == CaptureSettings(nodes=("client", "server"))


def test_how_much_is_kept():
    asked = planned("capture: {nodes: [server], snap: 64KB, size: 1GB}").capture
    assert asked == CaptureSettings(nodes=("server",), snap_bytes=64_000, size_bytes=10**9)


def test_a_capture_is_no_other_plan():
    without, with_one = planned(), planned("capture: [client]")
    assert without.capture == CaptureSettings()
    assert without.digest == with_one.digest
    assert Plan.from_json(with_one.to_json()) == with_one


def test_a_plan_of_before_captures_nothing():
    data = planned().to_json()
    del data["capture"]
    assert Plan.from_json(data) == planned()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("capture: [clent]", 'x.yml:3:11: unknown-node: capture[0] names "clent", which is not a node'),
        ("capture: {nodes: [clent]}", 'x.yml:3:19: unknown-node: capture.nodes[0] names "clent", which is not a node'),
        ("capture: client", "x.yml:3:10: wrong-type: capture is"),
        ("capture: []", "x.yml:3:10: "),
        ("capture: {snap: 64B}", 'x.yml:3:10: missing-key: capture lacks "nodes"'),
        ("capture: {nodes: [client], snap: 10B}", "bad-value: capture.snap"),
        ("capture: {nodes: [client], size: 1KB}", "bad-value: capture.size"),
    ],
)
def test_invalid_keys_are_reported(text, said):
    with pytest.raises(TestbedError) as caught:
        planned(text)
    assert said in str(caught.value)
