"""Connections of this process, over loopback, as inet_diag and as getsockopt tell of them."""

from __future__ import annotations

import os
import socket
import subprocess
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from testbed.agent import sockets
from testbed.endpoint import tcp_info
from testbed.linux import namespaces


@pytest.fixture
def network():
    fd = namespaces.current_network()
    try:
        with namespaces.inside(fd):
            pass
    except PermissionError:
        pytest.skip("only root may enter a network namespace")
    yield fd
    os.close(fd)


@contextmanager
def connected(family=socket.AF_INET):
    address = "127.0.0.1" if family == socket.AF_INET else "::"
    with socket.create_server((address, 0), family=family, dualstack_ipv6=family == socket.AF_INET6) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client:
            accepted, _ = server.accept()
            with accepted:
                yield client, accepted, f"127.0.0.1:{port}"


def of(found, local):
    return [each for each in found.connections if each.local == local]


def test_a_connection_is_told_with_its_state_and_its_process(network):
    with connected() as (client, accepted, server):
        client.sendall(b"x" * 1000)
        found = sockets.sockets_of(network, {})
        (each,) = of(found, server)
        assert each.peer == f"127.0.0.1:{client.getsockname()[1]}"
        assert each.state == "ESTABLISHED"
        assert each.receive_queue_bytes == 1000  # nobody has read them
        assert (each.pid, each.process) == (os.getpid(), Path("/proc/self/comm").read_text().strip())
        assert each.receive_buffer_bytes == accepted.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
        congestion = accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16).rstrip(b"\0").decode()
        assert each.congestion == congestion
        assert each.info["bytes_received"] == 1000
        assert tcp_info.read(accepted).keys() <= each.info.keys()


def test_listeners_are_no_connections(network):
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert not of(sockets.sockets_of(network, {}), f"127.0.0.1:{server.getsockname()[1]}")


def test_an_ipv6_socket_that_speaks_ipv4_has_an_ipv4_address(network):
    try:
        socket.create_server(("::", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("no IPv6 here")
    with connected(socket.AF_INET6) as (_, _, server):
        assert len(of(sockets.sockets_of(network, {}), server)) == 1


@pytest.fixture
def empty_network(network):
    """A network namespace without connections of others, which this thread is in."""
    fd = namespaces.new_network()
    with namespaces.inside(fd):
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        yield fd
    os.close(fd)


def test_processes_are_looked_for_once(empty_network):
    network = empty_network
    known: dict[int, sockets.Owner] = {}
    with connected() as (_, accepted, server):
        inode = os.fstat(accepted.fileno()).st_ino
        sockets.sockets_of(network, known)
        assert known[inode][0] == os.getpid()
        known[inode] = (1, "another")
        (each,) = of(sockets.sockets_of(network, known), server)
        assert each.process == "another"
    sockets.sockets_of(network, known)
    assert inode not in known


def test_more_than_one_message_of_the_kernel(network):
    with closing(socket.create_server(("127.0.0.1", 0), backlog=400)) as server:
        clients = [socket.create_connection(server.getsockname()) for _ in range(300)]
        found = sockets.sockets_of(network, {})
        peers = {each.peer for each in found.connections}
        for client in clients:
            assert f"127.0.0.1:{client.getsockname()[1]}" in peers
            client.close()
