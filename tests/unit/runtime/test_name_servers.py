"""Which name servers nodes have on networks that lead out."""

import pytest

from testbed.plan import resolve
from testbed.runtime import name_servers
from testbed.topology import loads

TEXT = """
name: x
networks: {lan: {subnet: 198.18.7.0/24, internal: false}, shut: }
nodes: {a: {networks: [lan]}, b: {networks: [shut]}, c: {networks: [lan], dns: [198.18.0.1]}}
"""
UPSTREAM = "nameserver 198.18.9.9\nsearch example.org\n"


@pytest.fixture
def found(tmp_path):
    """The resolv.conf of a node, and the loopback address that its gateway passes questions on to."""

    def of(node, text):
        plan, resolver, upstream = resolve(loads(TEXT, "x.yml")), tmp_path / "resolv.conf", tmp_path / "upstream.conf"
        resolver.write_text(text)
        upstream.write_text(UPSTREAM)
        texts = name_servers.resolver(plan, plan.node(node), resolver, upstream)
        return texts, name_servers.on_loopback(resolver, upstream)

    return of


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nameserver 198.18.3.3\n", ("", "")),
        ("nameserver 127.0.0.53\noptions edns0\n", (UPSTREAM, "")),
        (
            "nameserver 127.0.0.1\nnameserver ::1\nnameserver 198.18.3.3\n",
            ("nameserver 198.18.7.1\nnameserver 198.18.3.3\n", "127.0.0.1"),
        ),
    ],
)
def test_a_name_server_of_the_loopback_is_reached_otherwise(found, text, expected):
    assert found("a", text) == expected


def test_nodes_on_internal_networks_keep_the_machines_and_dns_comes_first(found):
    assert found("b", "nameserver 127.0.0.53\n")[0] == ""
    assert found("c", "nameserver 127.0.0.53\n")[0] == "nameserver 198.18.0.1\n"
