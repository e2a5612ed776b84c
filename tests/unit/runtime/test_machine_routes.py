"""Reading the kernel's table of routes."""

from __future__ import annotations

from ipaddress import IPv4Network

from testbed.runtime.machine_routes import destinations

TABLE = """\
Iface	Destination	Gateway 	Flags	RefCnt	Use	Metric	Mask		MTU	Window	IRTT
eth0	00000000	010200C0	0003	0	0	0	00000000	0	0	0
docker0	000011AC	00000000	0001	0	0	0	0000FFFF	0	0	0
br-1	000712C6	00000000	0001	0	0	0	00FFFFFF	0	0	0
wg0	010712C6	00000000	0005	0	0	0	FFFFFFFF	0	0	0
"""


def test_destinations_without_the_default(tmp_path):
    (tmp_path / "route").write_text(TABLE)
    assert list(destinations(tmp_path / "route")) == [
        IPv4Network("172.17.0.0/16"),
        IPv4Network("198.18.7.0/24"),
        IPv4Network("198.18.7.1/32"),
    ]


def test_no_table(tmp_path):
    assert list(destinations(tmp_path / "none")) == []


def test_the_machines_own_table_can_be_read():
    assert all(network.prefixlen for network in destinations())
