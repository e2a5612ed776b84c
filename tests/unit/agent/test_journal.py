"""The journal of what is changed place the lab, and that it is put back, in namespaces of this machine."""

from __future__ import annotations

import os
import subprocess

import pytest

from testbed.agent import journal, offloads, switch
from testbed.agent.filters import PortFilters
from testbed.agent.journal import Bridge, Journal, OffloadsOff, PortLeft, PortUsed, PutBack
from testbed.agent.netlink import RouteSocket
from testbed.linux import namespaces

USED = PortUsed(port=3, had_hook=False, queue_length=0)


def said(*argv):
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


def test_the_first_line_about_a_port_says_how_it_was(tmp_path):
    book = Journal.at(tmp_path / "journal")
    book.write(USED)
    book.write(PortUsed(port=3, had_hook=True, queue_length=1000))
    book.write(Bridge(index=5))
    assert book.entries() == [USED, Bridge(index=5)]
    book.write(PortLeft(port=3))
    book.write(USED)
    assert book.entries()[2:] == [PortLeft(port=3), USED]
    book.close()


def test_a_line_that_a_killed_process_left_unfinished_is_no_line(tmp_path):
    path = tmp_path / "journal"
    book = Journal.at(path)
    book.write(USED)
    book.close()
    path.write_bytes(path.read_bytes() + b'{"type":"PortUsed","po')
    assert journal.read(path.read_bytes()) == [USED]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may make devices")
@pytest.mark.parametrize("tso", ["on", "off"])
def test_ports_and_offloads_are_put_back_once_and_as_they_were(tmp_path, tso):
    place = namespaces.new_network()
    try:
        with namespaces.inside(place), RouteSocket() as route:
            said("ip", "link", "add", "port", "txqueuelen", "0", "type", "veth", "peer", "name", "eth0")
            said("ip", "link", "add", "sink", "type", "veth", "peer", "name", "sink-far")
            port, sink = (switch.named(route, name) for name in ("port", "sink"))
            said("ethtool", "-K", "eth0", "tso", tso)
            looks = (("ip", "-d", "link", "show", "port"), ("tc", "qdisc", "show"), ("ethtool", "-k", "eth0"))
            before = [said(*look) for look in looks]
            book = Journal.at(tmp_path / "journal")
            book.write(PortUsed(port=port.index, had_hook=False, queue_length=port.queue_length))
            network = os.fstat(place).st_ino
            wanted = offloads.wanted(place, "eth0")
            book.write(OffloadsOff(port=port.index, network=network, pid=os.getpid(), wanted=wanted))
            filters = PortFilters(route, port.index, sink.index, is_open=True)
            filters.close()
            filters.silence()
            offloads.switch_off(place, ["eth0"], offloads.SEGMENTATION)
            assert [said(*look) for look in looks] != before
            journal.put_back(book, agent_died=True)
            assert [said(*look) for look in looks] == before
            assert book.entries()[-1] == PutBack(agent_died=True, ports=1)
            lines = book.entries()
            journal.put_back(book, agent_died=True)
            assert book.entries() == lines
            book.close()
    finally:
        os.close(place)
