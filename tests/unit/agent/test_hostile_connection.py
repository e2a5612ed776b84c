import asyncio
import socket

import pytest

from testbed.agent import connection as connections
from testbed.agent.connection import ServerConnection
from testbed.errors import LabError


@pytest.mark.parametrize("line", [b"\xa2ello\n", b"3\n", b'{"call": {}}\n', b"\0\n"])
def test_a_line_that_is_no_message_is_an_error_of_ours(line):
    async def receive():
        client, channel = socket.socketpair()
        with client:
            client.sendall(line)
            connection = ServerConnection(channel)
            try:
                await connection.receive()
            finally:
                connection.close()

    with pytest.raises(LabError, match="is no message"):
        asyncio.run(receive())


def test_a_line_without_an_end_is_refused_and_not_kept(monkeypatch):
    monkeypatch.setattr(connections, "MOST_BYTES", 1 << 20)

    async def receive():
        client, channel = socket.socketpair()
        connection = ServerConnection(channel)
        sending = asyncio.create_task(asyncio.to_thread(client.sendall, bytes(3 << 20)))
        try:
            with pytest.raises(LabError, match="bad-message: a message is longer than 1 MiB"):
                await connection.receive()
            kept = len(connection._buffer)
        finally:
            connection.close()
        with pytest.raises(ConnectionError):
            await sending
        client.close()
        return kept

    assert asyncio.run(receive()) == 0


def test_messages_that_come_together_or_in_pieces_are_told_apart():
    async def receive():
        client, channel = socket.socketpair()
        connection = ServerConnection(channel)
        client.sendall(b'{"call": "one"}\n{"call": "two"}\n{"call":')
        found = [await connection.receive(), await connection.receive()]
        client.sendall(b' "three"}\n')
        found.append(await connection.receive())
        client.close()
        found.append(await connection.receive())
        connection.close()
        return [each and each.call for each in found]

    assert asyncio.run(receive()) == ["one", "two", "three", None]
