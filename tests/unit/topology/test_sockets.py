import pytest

from testbed.errors import UsageError
from testbed.plan import Plan, resolve
from testbed.topology import loads

TEXT = "name: x\nnodes: {client: , server: }\n"


def test_the_nodes_to_sample_are_named():
    assert resolve(loads(TEXT + "sockets: [server]", "x.yml")).sockets == ("server",)


def test_sampling_connections_does_not_change_the_digest():
    without, with_them = resolve(loads(TEXT, "x.yml")), resolve(loads(TEXT + "sockets: [server, client]", "x.yml"))
    assert without.digest == with_them.digest
    assert Plan.from_json(with_them.to_json()) == with_them
    data = without.to_json()
    del data["sockets"]
    assert Plan.from_json(data) == without


def test_a_node_that_is_not_there_is_an_error():
    with pytest.raises(UsageError, match=r'x.yml:3:11: unknown-node: sockets\[0\] names "sevrer", which is not a node'):
        loads(TEXT + "sockets: [sevrer]", "x.yml")
