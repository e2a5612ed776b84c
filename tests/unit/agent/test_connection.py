"""Whose connections an agent takes, by what the kernel says of their other end; and what it sends on them."""

import asyncio
import json
import socket
import subprocess
import sys

import pytest

from testbed.agent import messages
from testbed.agent.connection import ServerConnection, is_from_owner
from tests.conftest import as_user

CONNECT = "import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); sys.stdin.read()"


@pytest.fixture
def listener(tmp_path):
    path = tmp_path / "agent.sock"
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))
        path.chmod(0o666)
        for directory in (tmp_path, *tmp_path.parents[:2]):
            directory.chmod(0o755)
        made.listen()
        yield made, path


def test_the_agents_user_is_heard_from_outside_of_the_lab_only(listener):
    made, path = listener
    with subprocess.Popen([sys.executable, "-c", CONNECT, path], stdin=subprocess.PIPE) as process:
        channel, _ = made.accept()
        with channel:
            assert is_from_owner(channel, isolated=False)
            assert not is_from_owner(channel, isolated=True)  # it is in the pid namespace of this process, as nodes are
        process.communicate()


@pytest.mark.userns
def test_nobody_else_is_heard_whatever_the_mode_of_the_socket(listener):
    made, path = listener
    as_user([sys.executable, "-c", CONNECT, str(path)], stdin=subprocess.DEVNULL, cwd="/")
    channel, _ = made.accept()
    with channel:
        assert not is_from_owner(channel, isolated=False)


def test_output_and_errors_that_wait_for_a_slow_client_both_arrive():
    texts = {name: name[-1] * 4_000_000 for name in ("stdout", "stderr")}

    async def arrived():
        ours, theirs = socket.socketpair()
        with ours, theirs:
            connection = ServerConnection(ours)
            sending = [
                asyncio.create_task(connection.send_event(messages.ProcessEvent(stream=name, text=text)))
                for name, text in texts.items()
            ]
            await asyncio.sleep(0.1)  # until both wait for the client
            reader, writer = await asyncio.open_unix_connection(sock=theirs, limit=1 << 24)
            lines = [json.loads(await reader.readline())["event"] for _ in texts]
            await asyncio.gather(*sending)
            writer.close()
        return {line["stream"]: line["text"] for line in lines}

    assert asyncio.run(asyncio.wait_for(arrived(), 30)) == texts
