"""Devices of links, offloads and neighbours in namespaces of this machine, looked at by ip and ethtool."""

from __future__ import annotations

import json
import os
import subprocess
from types import SimpleNamespace

import pytest

from testbed.agent import aliases, neighbours
from testbed.agent.link_devices import LinkDevices
from testbed.agent.netlink import RouteSocket
from testbed.linux import namespaces

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may make devices")


def ip(place, *argv):
    with namespaces.inside(place):
        said = subprocess.run(["ip", "-j", "-d", *argv], check=True, capture_output=True, text=True).stdout
    return json.loads(said or "[]")


def link_devices_in(place):
    return {each["ifname"]: each for each in ip(place, "link") if each["ifname"].startswith("tb")}


@pytest.fixture
def lab():
    """Namespaces of the switch side and of the agent, and what makes devices in them."""
    switch, home = namespaces.new_network(), namespaces.new_network()
    try:
        with namespaces.inside(switch), RouteSocket() as route:
            made = LinkDevices("lab-x", switch, route, home)
            yield SimpleNamespace(switch=switch, home=home, devices=made, route=route)
    finally:
        os.close(switch)
        os.close(home)


def test_pairs_are_up_alone_and_called_by_the_lab(lab):
    pairs = lab.devices.make_pairs({"a -> b on lan": 1400, "b -> a on lan": 600})
    near, far = (
        {each["ifindex"]: each for each in link_devices_in(place).values()} for place in (lab.switch, lab.home)
    )
    assert sorted(near) == sorted(pair.near.index for pair in pairs)
    assert sorted(far) == sorted(pair.far.index for pair in pairs)
    for pair, mtu, purpose in zip(pairs, (1400, 600), ("a -> b on lan", "b -> a on lan"), strict=True):
        found = near[pair.near.index]
        assert found["ifalias"] == f"testbed lab-x {purpose}"
        assert found["link_index"] == pair.far.index
        assert found["address"] == pair.near.mac
        for each in (found, far[pair.far.index]):
            assert each["mtu"] == mtu
            assert {"UP", "LOWER_UP"} <= set(each["flags"])
            assert each["linkinfo"]["info_kind"] == "veth"
        assert all(not each["addr_info"] for place in (lab.switch, lab.home) for each in ip(place, "address"))


def test_pairs_have_only_offloads_that_the_engine_can_take_apart(lab):
    (pair,) = lab.devices.make_pairs({"a -> b on lan": 1500})
    for place, device in ((lab.switch, pair.near), (lab.home, pair.far)):
        with namespaces.inside(place):
            said = subprocess.run(["ethtool", "-k", device.name], check=True, capture_output=True, text=True).stdout
        features = dict(line.strip().split(": ", 1) for line in said.splitlines()[1:])
        on = {name for name, state in features.items() if name.endswith("-segmentation") and state == "on"}
        tcp = {"tx-tcp-segmentation", "tx-tcp6-segmentation", "tx-tcp-ecn-segmentation"}
        assert on - {"tx-udp-segmentation"} == tcp
        for feature in ("tx-gso-list", "tx-gso-partial", "tx-checksum-sctp"):
            assert features[feature].startswith("off"), feature


def test_ifbs_are_up_and_called_by_the_lab(lab):
    (made,) = lab.devices.make_ifbs({"a -> b on lan": 1400})
    (found,) = link_devices_in(lab.switch).values()
    assert (found["ifindex"], found["mtu"], found["ifalias"]) == (made.index, 1400, "testbed lab-x a -> b on lan")
    assert "UP" in found["flags"]


def test_deleted_devices_go_and_the_others_stay(lab):
    pairs = lab.devices.make_pairs({f"link {number}": 1500 for number in range(5)})
    ifbs = lab.devices.make_ifbs({f"ifb {number}": 1500 for number in range(3)})
    lab.devices.delete([pairs[0].near.index, pairs[3].near.index, ifbs[1].index])
    left = {*(pairs[number].near.name for number in (1, 2, 4)), ifbs[0].name, ifbs[2].name}
    assert set(link_devices_in(lab.switch)) == left
    lab.devices.delete([pairs[0].near.index, *(pair.near.index for pair in pairs), *(each.index for each in ifbs)])
    assert not link_devices_in(lab.switch)
    assert not link_devices_in(lab.home)


@pytest.mark.parametrize("make", ["make_pairs", "make_ifbs"])
def test_a_refusal_leaves_no_device_behind(lab, make):
    with pytest.raises(OSError, match=r"Numerical result out of range|Invalid argument"):
        getattr(lab.devices, make)({"good": 1500, "longer than an alias may be" * 20: 1500, "never made": 1500})
    assert not link_devices_in(lab.switch)
    assert not link_devices_in(lab.home)


def test_what_a_killed_agent_left_is_swept_by_its_alias(lab):
    lab.devices.make_pairs({f"link {number}": 1500 for number in range(3)})
    lab.devices.make_ifbs({"another": 1500})

    assert aliases.sweep(lab.route, "lab") == 0
    assert aliases.sweep(lab.route, "lab-x") == 4
    assert not link_devices_in(lab.switch)


def test_neighbours_are_permanent_and_the_latest_counts(lab):
    with namespaces.inside(lab.home):
        subprocess.run(["ip", "link", "add", "eth0", "type", "bridge"], check=True)
        subprocess.run(["ip", "link", "set", "eth0", "up"], check=True)
    neighbours.set_permanent(lab.home, {"eth0": {"198.18.0.2": "02:00:00:00:00:01", "2001:2::2": "02:00:00:00:00:02"}})
    neighbours.set_permanent(lab.home, {"eth0": {"198.18.0.2": "02:00:00:00:00:03"}})
    found = {each["dst"]: each for each in ip(lab.home, "neighbour")}
    assert {address: each["lladdr"] for address, each in found.items()} == {
        "198.18.0.2": "02:00:00:00:00:03",
        "2001:2::2": "02:00:00:00:00:02",
    }
    assert all(each["state"] == ["PERMANENT"] for each in found.values())
    with pytest.raises(OSError, match="No such device"):
        neighbours.set_permanent(lab.home, {"eth9": {"198.18.0.2": "02:00:00:00:00:01"}})
