"""Hostile messages to an agent and mutated files; only `make soak` runs it, by this file's name."""

from __future__ import annotations

import json
import os
import re
import resource
import socket
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random

import pytest

from testbed.agent.connection import MOST_BYTES
from testbed.agent.messages import Recall
from testbed.lab import Lab, resolve
from testbed.runtime.state import LabDirectory
from testbed.topology import TopologyError, loads
from tests.conftest import ROOT
from tests.soak import figures

MESSAGES = figures.count(10_000)
FILES = figures.count(20_000)
SLOW = 300

TOPOLOGY = "name: hostile\nnodes: {a: , b: }\nlinks: [{between: [a, b], delay: 5ms}]"

PLAIN = [
    {"call": "hello"},
    {"call": "remember", "plan": {}},
    {"call": "impair", "links": [{"source": "a", "destination": "b", "network": "lan"}]},
    {"call": "spawn", "node": "a", "argv": ["true"], "term": None},
    {"call": "start-endpoint", "node": "a", "spec": {"kind": "ping"}},
    {"call": "statistics"},
]
ODD: tuple[object, ...] = (
    None,
    True,
    -1,
    1 << 70,
    1e300,
    "",
    "\0",
    "a" * 5000,
    [],
    {},
    [[[]]],
    {"call": "hello"},
    "../../etc",
)


def _message(random):
    """A message that is nearly right, or nothing like one."""
    if random.random() < 0.2:
        return random.randbytes(random.randrange(1, 2000)) + b"\n"
    message = json.loads(json.dumps(random.choice(PLAIN)))
    for _ in range(random.randrange(1, 4)):
        message[random.choice([*message, "call", "x", "tell"])] = random.choice(ODD)
    line = bytearray(json.dumps(message).encode() + b"\n")
    if random.random() < 0.3:
        line[random.randrange(len(line))] = random.randrange(256)
    return bytes(line)


@pytest.mark.live
@pytest.mark.netns
def test_an_agent_answers_after_hostile_messages(lab_name):
    random = Random(11)
    with Lab.up(loads(TOPOLOGY, "hostile.yml"), name=lab_name, runtime="netns") as lab:
        directory = LabDirectory("netns", lab_name)
        for _ in range(MESSAGES):
            with socket.socket(socket.AF_UNIX) as channel:
                channel.settimeout(30)
                channel.connect(str(directory.socket))
                channel.sendall(_message(random))
                channel.shutdown(socket.SHUT_WR)
                while channel.recv(1 << 16):
                    pass
        refused = _endless_line(directory)
        with _slow_clients(directory):
            held = lab.agent.call(Recall())
        assert lab["a"].run(["ping", "-c1", "-W5", "b"]).status == 0
        tracebacks = directory.log.read_text(errors="replace").count("Traceback")
        grown = max(_resident_bytes(pid) for pid in _agents(lab_name)) > 200 << 20
    figures.keep("hostile messages to an agent", tried=MESSAGES, failed=tracebacks + grown, left=0)
    assert held is not None
    assert refused
    assert (tracebacks, grown) == (0, False)


def _endless_line(directory):
    """Send a message without an end, and return whether the agent refuses it before it has taken too much."""
    with socket.socket(socket.AF_UNIX) as channel:
        channel.settimeout(60)
        channel.connect(str(directory.socket))
        try:
            for _ in range(4 * MOST_BYTES >> 20):
                channel.sendall(bytes(1 << 20))
        except ConnectionError:
            return True
    return False


@contextmanager
def _slow_clients(directory):
    """Clients that begin a message and never end it."""
    with ExitStack() as stack:
        for _ in range(SLOW):
            channel = stack.enter_context(socket.socket(socket.AF_UNIX))
            channel.connect(str(directory.socket))
            channel.sendall(b'{"call": "hel')
        yield


def _agents(lab):
    called = LabDirectory("netns", lab).agent_name
    for comm in Path("/proc").glob("[0-9]*/comm"):
        try:
            if comm.read_text().strip() == called:
                yield int(comm.parent.name)
        except OSError:
            continue


def _resident_bytes(pid):
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


WRONG = {
    r"\bdelay: \d+(ms|s|us)\b": "delay: -1ms",
    r"\bloss: [\d.]+%": "loss: 101%",
    r"\brate: [\d.]+[kmg]bit\b": "rate: 1parsec",
    r"\bkind: [a-z-]+": "kind: teleport",
    r"\bfrom: [a-z0-9-]+": "from: nobody-of-that-name",
    r"\bduration: \d+(ms|s)\b": "duration: soon",
    r"(?m)^nodes:": "nodes: {}\nnodes:",
    r"(?m)^name: .*$": "name: ../up",
}
"""What must be refused wherever it is put in place of what is right."""


def _wrong(random, text):
    """A file with one value that no file may have; None if it has none to replace."""
    pattern, value = random.choice([*WRONG.items()])
    places = [
        found.span() for found in re.finditer(pattern, re.sub(r"#.*", lambda comment: " " * len(comment[0]), text))
    ]
    if not places:
        return None
    start, end = random.choice(places)
    return text[:start] + value + text[end:]


def _mutant(random, text):
    """A file with some of its bytes, words or lines changed, doubled or gone; and whether it must be refused."""
    if random.random() < 0.3 and (wrong := _wrong(random, text)):
        return wrong, True
    lines = text.splitlines()
    kind = random.randrange(5)
    at = random.randrange(len(lines))
    if kind == 0:
        return f"{text}\nno-such-key-{random.randrange(9)}: 1\n", True
    if kind == 1:
        lines.insert(at, random.choice(lines))
    elif kind == 2:
        del lines[at]
    elif kind == 3:
        words = lines[at].split(" ")
        words[random.randrange(len(words))] = random.choice(
            ["-1", "1e999", "{", "[", "&a", "*a", "!!x", "9" * 400, "é"]
        )
        lines[at] = " ".join(words)
    else:
        data = bytearray("\n".join(lines).encode())
        for _ in range(random.randrange(1, 6)):
            data[random.randrange(len(data))] = random.randrange(256)
        return data.decode(errors="replace"), False
    return "\n".join(lines), False


def test_a_mutated_file_is_a_topology_or_an_error():
    random = Random(11)
    shipped = [path.read_text() for path in sorted((ROOT / "topologies").glob("*.yml"))]
    accepted_wrongly = valid = 0
    for _ in range(FILES):
        text, is_wrong = _mutant(random, random.choice(shipped))
        try:
            resolve(loads(text, "topologies/mutant.yml"))
        except TopologyError:
            continue
        valid += 1
        accepted_wrongly += is_wrong
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss > 500 << 10
    figures.keep("mutated topology files", tried=FILES, failed=accepted_wrongly + grown, left=0)
    assert (accepted_wrongly, grown) == (0, False)
    assert 0 < valid < FILES
