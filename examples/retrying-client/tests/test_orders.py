"""The project's own tests, over the loopback interface."""

import socket
import threading

import pytest

from orders.client import Client
from orders.server import Server


@pytest.fixture
def address():
    with Server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server.server_address
        server.shutdown()
        thread.join()


@pytest.fixture
def client(address):
    client = Client(address, timeout_s=30)
    yield client
    client.close()


def test_orders_are_counted(client):
    assert [client.order("tea"), client.order("milk")] == [1, 2]
    assert client.total() == 2


def test_one_key_is_one_order(address):
    with socket.create_connection(address) as connection, connection.makefile("rw") as lines:
        for _ in range(2):
            lines.write("4711 tea\n")
            lines.flush()
            assert lines.readline() == "1\n"


def test_a_client_tries_again_after_its_connection_broke(client):
    client.order("tea")
    client._connection.shutdown(socket.SHUT_RDWR)
    assert client.order("milk") == 2
