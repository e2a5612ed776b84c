import asyncio
import os
import signal
import socket

import pytest

from testbed.engines.userspace import requests
from testbed.engines.userspace.workers import SocketLink, Workers
from testbed.errors import LabError
from testbed.impairments import CLEAR


def datagram_pair():
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)


def test_an_engine_without_links_starts_no_process():
    async def use():
        async with Workers() as engine:
            return await engine.counters(), engine._workers

    assert asyncio.run(use()) == ({}, [])


def test_a_link_that_a_worker_refuses_is_not_kept_and_its_sockets_are_closed():
    async def use():
        async with Workers() as engine:
            sockets = datagram_pair()
            with pytest.raises(LabError, match="link a -> b: add: ") as caught:
                await engine.add([SocketLink("a -> b", CLEAR, 1, *sockets)])
            return caught.value.code, [sock.fileno() for sock in sockets], await engine.counters()

    assert asyncio.run(use()) == ("userspace-engine-refused", [-1, -1], {})


@pytest.mark.parametrize("do", ["replace", "restart", "remove"])
def test_a_link_that_is_not_there_is_an_error(do):
    async def use():
        async with Workers() as engine:
            arguments = {"replace": ("x", CLEAR), "restart": (["x"],), "remove": ("x",)}[do]
            await getattr(engine, do)(*arguments)

    with pytest.raises(LabError, match="link x is not impaired here; those are: none"):
        asyncio.run(use())


def test_workers_end_with_the_engine():
    async def use():
        async with Workers() as engine:
            with pytest.raises(LabError):
                await engine.add([SocketLink("x", CLEAR, 1, *datagram_pair())])
            (worker,) = engine._workers
        return worker._process

    process = asyncio.run(use())
    assert process.returncode == 0
    with pytest.raises(ProcessLookupError):
        os.kill(process.pid, 0)


def test_a_question_to_a_worker_that_died_tells_its_status():
    async def use():
        async with Workers() as engine:
            with pytest.raises(LabError):
                await engine.add([SocketLink("x", CLEAR, 1, *datagram_pair())])
            (worker,) = engine._workers
            os.kill(worker._process.pid, signal.SIGKILL)
            with pytest.raises(LabError, match="status -9") as caught:
                await worker.ask(requests.Count(links=("x",)))
            return caught.value.code

    assert asyncio.run(use()) == "userspace-worker-died"


def test_a_late_answer_is_not_mistaken_for_the_next_one():
    async def use():
        async with Workers() as engine:
            with pytest.raises(LabError):
                await engine.add([SocketLink("x", CLEAR, 1, *datagram_pair())])
            (worker,) = engine._workers
            abandoned = asyncio.create_task(worker.ask(requests.Count(links=("abandoned",))))
            await asyncio.sleep(0)  # it has asked and waits
            abandoned.cancel()
            with pytest.raises(LabError, match="'awaited'"):
                await worker.ask(requests.Count(links=("awaited",)))

    asyncio.run(use())
