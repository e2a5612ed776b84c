"""Nothing holds on to a descriptor that is closed."""

from __future__ import annotations

import asyncio
import socket

import pytest

from testbed.agent import protocol
from testbed.agent.connection import ServerConnection
from testbed.agent.tasks import cancelled

ROUNDS = 200


def test_a_connection_is_heard_that_has_the_number_of_one_closed_before():
    async def pairs():
        for number in range(ROUNDS):
            ours, theirs = socket.socketpair()
            connection = ServerConnection(ours)
            waiting = asyncio.create_task(connection.receive())
            await asyncio.sleep(0)  # it waits now
            if number % 2:
                theirs.sendall(protocol.encode(protocol.Message(tell=number)))
                async with asyncio.timeout(60):
                    assert await waiting == protocol.Message(tell=number)
            else:
                await cancelled(waiting)
            connection.close()
            theirs.close()

    asyncio.run(pairs())


def test_a_connection_is_not_closed_while_a_task_receives_from_it():
    async def closing():
        ours, theirs = socket.socketpair()
        with theirs:
            connection = ServerConnection(ours)
            waiting = asyncio.create_task(connection.receive())
            await asyncio.sleep(0)
            with pytest.raises(RuntimeError, match="while a task received from it"):
                connection.close()
            await cancelled(waiting)
            assert waiting.cancelled()
            connection.close()

    asyncio.run(closing())


def test_a_task_that_has_ended_can_be_cancelled():
    async def ending():
        task = asyncio.create_task(asyncio.sleep(0))
        await task
        await cancelled(task)
        return task.cancelled()

    assert not asyncio.run(ending())
