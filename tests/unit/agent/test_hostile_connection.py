import asyncio
import socket

import pytest

from testbed.agent.connection import Connection
from testbed.errors import LabError


@pytest.mark.parametrize("line", [b"\xa2ello\n", b"3\n", b'{"call": {}}\n', b"\0\n"])
def test_a_line_that_is_no_message_is_an_error_of_ours(line):
    async def receive():
        client, channel = socket.socketpair()
        with client:
            client.sendall(line)
            connection = Connection(channel)
            try:
                await connection.receive()
            finally:
                connection.close()

    with pytest.raises(LabError, match="is no message"):
        asyncio.run(receive())
