import json
import logging
import os
import socket
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import pytest

from testbed import codec
from testbed.engines.userspace.packet_sockets import open_input, open_output
from testbed.impairments import CLEAR


@pytest.fixture
def worker():
    """A real worker process and the agent's end of its control socket."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.settimeout(30)
    command = [sys.executable, "-m", "testbed.engines.userspace.worker", str(theirs.fileno()), LEVEL]
    with subprocess.Popen(
        command, pass_fds=[theirs.fileno()], env={**os.environ, "PYTHONPATH": str(Path.cwd())}
    ) as process:
        theirs.close()
        yield process, ours
        ours.close()
        process.wait(30)


LEVEL = str(logging.WARNING)
ONE = [{"link": "x", "seed": 1}]


def ask(control, sockets=(), impairments=None, **request):
    with tempfile.TemporaryFile("w") as file:
        json.dump([impairments], file)
        file.flush()
        descriptors = [file.fileno()] if impairments is not None else []
        descriptors += [sock.fileno() for sock in sockets]
        socket.send_fds(control, [json.dumps({"id": 1, **request}).encode()], descriptors)
        return json.loads(control.recv(65536))


def test_the_worker_ends_when_the_agent_does(worker):
    process, control = worker
    control.close()
    assert process.wait(30) == 0


FIELDS: dict[str, dict[str, object]] = {
    "replace": {"link": "a -> b"},
    "restart": {"links": ["a -> b"]},
    "remove": {"link": "a -> b"},
    "count": {"links": ["a -> b"]},
}
CLEAR_JSON = codec.encode(CLEAR)


@pytest.mark.parametrize("do", FIELDS)
def test_an_unknown_link_is_an_error(worker, do):
    _, control = worker
    answer = ask(control, do=do, impairments=CLEAR_JSON, **FIELDS[do])
    assert "KeyError: 'a -> b'" in answer["error"]


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        ({"links": ONE}, "IndexError"),
        ({"impairments": {"delay_ns": -1}, "links": ONE}, "negative delay"),
        ({"impairments": {"lots": 1}, "links": ONE}, "lots"),
        ({"impairments": CLEAR_JSON, "links": ONE}, "shorter"),
        ({"impairments": CLEAR_JSON, "links": [*ONE, *ONE]}, "shorter"),
    ],
)
def test_a_refused_request_is_answered_and_the_worker_goes_on(worker, request_, error):
    process, control = worker
    assert error in ask(control, do="add", **request_)["error"]
    assert "error" in ask(control, do="count", links=["x"])
    assert process.poll() is None


@pytest.mark.parametrize(
    "datagram",
    [
        b"no JSON",
        b'{"id": 1, "do": "dance", "link": "x"}',
        b'{"id": 1, "do": "remove"}',
        b'{"id": 1, "do": "restart", "link": "x", "origin_ns": "1"}',
        b'{"id": 1, "do": "remove", "link": "x", "more": 1}',
    ],
)
def test_a_datagram_that_is_no_request_ends_the_worker(datagram):
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    command = [sys.executable, "-m", "testbed.engines.userspace.worker", str(theirs.fileno()), LEVEL]
    with ours, theirs:
        ours.send(datagram)
        ended = subprocess.run(
            command, pass_fds=[theirs.fileno()], check=False, capture_output=True, text=True, timeout=60
        )
    assert ended.returncode == 1
    assert "msgspec" in ended.stderr


def test_the_worker_logs_to_standard_error_from_its_level_on():
    logged = {}
    for level in (logging.INFO, logging.WARNING):
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        command = [sys.executable, "-m", "testbed.engines.userspace.worker", str(theirs.fileno()), str(level)]
        with theirs:
            with ours:
                ours.send(b'{"id": 1, "do": "remove", "link": "x"}')
            ended = subprocess.run(
                command, pass_fds=[theirs.fileno()], check=True, capture_output=True, text=True, timeout=60
            )
        logged[level] = ended.stderr
    assert "Remove(id=1, link='x') refused: KeyError('x')" in logged[logging.INFO]
    assert logged[logging.WARNING] == ""


def test_sockets_that_carry_no_frames_are_refused_and_closed(worker):
    _, control = worker
    far, near = socket.socketpair()
    with far:
        with near:
            answer = ask(control, [near, near], do="add", impairments=CLEAR_JSON, links=ONE)
        assert "not packet sockets" in answer["error"]
        far.settimeout(30)
        assert far.recv(1) == b""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may open packet sockets")
def test_either_all_links_of_a_request_are_added_or_none(worker):
    _, control = worker
    loopback = socket.if_nametoindex("lo")
    with tempfile.TemporaryFile("w") as file:
        json.dump([CLEAR_JSON] * 2, file)
        file.flush()

        def add(*names):
            with ExitStack() as opened:
                pairs = [(open_input(loopback), open_output(loopback)) for _ in names]
                sockets = [opened.enter_context(sock) for pair in pairs for sock in pair]
                links = [{"link": name, "seed": 1} for name in names]
                request = json.dumps({"id": 1, "do": "add", "links": links}).encode()
                socket.send_fds(control, [request], [file.fileno(), *(sock.fileno() for sock in sockets)])
                return json.loads(control.recv(65536))

        assert "link x is here already" in add("x", "x")["error"]
        assert "KeyError: 'x'" in ask(control, do="count", links=["x"])["error"]
        assert add("x", "y") == {"id": 1}
        assert "link y is here already" in add("z", "y")["error"]
        assert "counters" in ask(control, do="count", links=["y"])
        assert "error" in ask(control, do="count", links=["z"])
