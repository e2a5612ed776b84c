"""`testbed exec` and `testbed shell`: a node's commands on our own streams, byte for byte, and on a terminal."""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import select
import signal
import struct
import subprocess
import termios
import time

import pytest

from tests.conftest import ROOT
from tests.live.command_line import COMMAND, PATIENCE_S, begin, eventually, nothing_remains, run, running, up_of
from tests.runtimes import RUNTIMES

TOPOLOGY = "name: terminal\nnodes: {a: {}, b: {}}\n"

pytestmark = pytest.mark.live


@pytest.fixture(scope="module", params=RUNTIMES)
def lab(request, tmp_path_factory):
    """The name of a lab that is up for all of these tests."""
    name = f"test-{secrets.token_hex(5)}"
    path = tmp_path_factory.mktemp("terminal") / "terminal.yml"
    path.write_text(TOPOLOGY, "utf-8")
    done = run(*up_of(str(path), name, request.param), lab=name)
    assert done.returncode == 0, done.stderr
    yield name
    run("down", name)
    assert nothing_remains(name)


def test_exec_passes_streams_and_status_on(lab):
    data = bytes(range(256)) * 20_000
    script = "cat; echo complaint >&2; exit 5"
    done = run("exec", lab, "a", "--", "sh", "-c", script, input=data, text=None)
    assert (done.returncode, done.stderr) == (5, b"complaint\n")
    assert done.stdout == data
    done = run("exec", lab, "a", "--", "no-such-program")
    assert done.returncode == 2
    assert "command-not-found" in done.stderr
    assert run("exec", lab, "a", "sh", "-c", "kill -9 $$").returncode == 137


def test_ctrl_c_ends_the_command_in_the_node(lab):
    unique = f"9{secrets.randbelow(10**9)}"
    with begin("exec", lab, "a", "--", "sh", "-c", f"echo ready; sleep {unique}", lab=lab) as process:
        assert process.stdout.readline() == b"ready\n"
        assert eventually(lambda: running(unique))
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130
    assert eventually(lambda: not running(unique))


class Terminal:
    """A command on a terminal."""

    def __init__(self, *argv):
        self._master, slave = os.openpty()
        self.resize(30, 100)
        self.process = subprocess.Popen(
            [*COMMAND, *argv],
            cwd=ROOT,
            env={**os.environ, "TERM": "dumb"},
            preexec_fn=lambda: os.login_tty(slave),  # noqa: PLW1509  # no threads here
        )
        os.close(slave)

    def resize(self, lines, columns):
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("4H", lines, columns, 0, 0))

    def type(self, text):
        os.write(self._master, text.encode())

    def read_until(self, pattern, *, typing=""):
        """What is shown until a pattern appears; meanwhile something may be typed each second."""
        shown = b""
        deadline = time.monotonic() + PATIENCE_S
        while not re.search(pattern.encode(), shown):
            assert time.monotonic() < deadline, shown
            if select.select([self._master], [], [], 1)[0]:
                shown += os.read(self._master, 1 << 16)
            else:
                self.type(typing)
        return shown.decode()

    def close(self):
        """The exit status of the command, which is about to end."""
        while True:
            try:
                if not os.read(self._master, 1 << 16):
                    break
            except OSError:  # EIO: nobody holds the other end any more
                break
        os.close(self._master)
        return self.process.wait(PATIENCE_S)


def test_shell_on_a_terminal(lab):
    terminal = Terminal("shell", lab, "a")
    terminal.read_until(r"[#$] $")
    terminal.type("echo $((40 + 2)) on $(hostname); test -t 0 && test -t 1 && echo a terminal; stty size\n")
    shown = terminal.read_until(r"\d+ \d+\r\n")
    assert "42 on a\r\n" in shown
    assert "a terminal\r\n" in shown

    def sized(size):  # a moment after the shell runs, or the window has changed
        def shown():
            terminal.type("stty size\n")
            return f"{size}\r\n" in terminal.read_until(r"\d+ \d+\r\n")

        return shown

    assert eventually(sized("30 100"))
    terminal.resize(40, 120)

    assert eventually(sized("40 120"))
    unique = f"9{secrets.randbelow(10**9)}"
    terminal.type(f"sleep {unique}\n")
    terminal.read_until(f"sleep {unique}\r\n")
    assert eventually(lambda: running(unique))
    terminal.type("\x03")  # Ctrl-C is for the program in the node
    terminal.read_until(r"[#$] $")
    terminal.type("exit 7\n")
    assert terminal.close() == 7


def test_shell_wants_a_terminal(lab):
    done = run("shell", lab, "a", stdin=subprocess.DEVNULL)
    assert done.returncode == 2
    assert "testbed exec" in done.stderr
