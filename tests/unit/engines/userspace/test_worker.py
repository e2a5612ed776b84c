import json
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from testbed.impairments import CLEAR


@pytest.fixture
def worker():
    """A real worker process and the agent's end of its control socket."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.settimeout(30)
    command = [sys.executable, "-m", "testbed.engines.userspace.worker", str(theirs.fileno())]
    with subprocess.Popen(
        command, pass_fds=[theirs.fileno()], env={**os.environ, "PYTHONPATH": str(Path.cwd())}
    ) as process:
        theirs.close()
        yield process, ours
        ours.close()
        process.wait(30)


def ask(control, sockets=(), impairments=None, **request):
    with tempfile.TemporaryFile("w") as file:
        json.dump(impairments, file)
        file.flush()
        descriptors = [file.fileno()] if impairments is not None else []
        descriptors += [sock.fileno() for sock in sockets]
        socket.send_fds(control, [json.dumps({"id": 1, **request}).encode()], descriptors)
        return json.loads(control.recv(65536))


def test_the_worker_ends_when_the_agent_does(worker):
    process, control = worker
    control.close()
    assert process.wait(30) == 0


@pytest.mark.parametrize("do", ["replace", "restart", "remove", "stats"])
def test_an_unknown_link_is_an_error(worker, do):
    _, control = worker
    assert "KeyError: 'a -> b'" in ask(control, do=do, link="a -> b", impairments=CLEAR.to_json(), seed=1)["error"]


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        ({"do": "dance", "link": "x"}, "no request is"),
        ({"do": "add"}, "link"),
        ({"do": "add", "link": "x", "seed": 1}, "IndexError"),
        ({"do": "add", "link": "x", "impairments": {"loss": -1}, "seed": 1}, "loss of -1"),
        ({"do": "add", "link": "x", "impairments": {"lots": 1}, "seed": 1}, "lots"),
        ({"do": "add", "link": "x", "impairments": CLEAR.to_json(), "seed": 1}, "unpack"),
    ],
)
def test_a_wrong_request_is_answered_and_the_worker_goes_on(worker, request_, error):
    process, control = worker
    assert error in ask(control, **request_)["error"]
    assert "error" in ask(control, do="stats", link="x")
    assert process.poll() is None


def test_sockets_that_carry_no_frames_are_refused_and_closed(worker):
    _, control = worker
    far, near = socket.socketpair()
    with far:
        with near:
            answer = ask(control, [near, near], do="add", link="x", impairments=CLEAR.to_json(), seed=1)
        assert "not packet sockets" in answer["error"]
        far.settimeout(30)
        assert far.recv(1) == b""
