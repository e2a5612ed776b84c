"""The journal of what is changed place the lab, and that it is put back, in namespaces of this machine."""

from __future__ import annotations

import os
import subprocess

import pytest

from testbed.agent import journal, offloads, switch
from testbed.agent.filters import PortFilters
from testbed.agent.journal import Bridge, Journal, OffloadsOff, PortLeft, PortUsed, PutBack, undo
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
            undo.put_back(book, agent_died=True)
            assert [said(*look) for look in looks] == before
            assert book.entries()[-1] == PutBack(agent_died=True, ports=1)
            lines = book.entries()
            undo.put_back(book, agent_died=True)
            assert book.entries() == lines
            book.close()
    finally:
        os.close(place)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may make devices")
def test_the_last_lab_that_needs_offloads_off_has_them_as_they_were_before_the_first(tmp_path):
    place = namespaces.new_network()
    try:
        with namespaces.inside(place), RouteSocket() as route:
            said("ip", "link", "add", "port", "type", "veth", "peer", "name", "eth0")
            port = switch.named(route, "port").index
            before = said("ethtool", "-k", "eth0")
            assert "tcp-segmentation-offload: on" in before
            books = []
            for lab in ("first", "second"):
                (tmp_path / lab).mkdir()
                books.append(Journal.at(tmp_path / lab / "agent.journal"))
                with books[-1].alone():
                    wanted = offloads.wanted(place, "eth0")
                    network = os.fstat(place).st_ino
                    books[-1].write(OffloadsOff(port=port, network=network, pid=os.getpid(), wanted=wanted))
                offloads.switch_off(place, ["eth0"], offloads.SEGMENTATION)
            off = said("ethtool", "-k", "eth0")
            for book, now in zip(books, (off, before), strict=True):
                undo.put_back(book, agent_died=False)
                assert said("ethtool", "-k", "eth0") == now
                book.close()
    finally:
        os.close(place)
