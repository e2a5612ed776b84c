"""Where Docker Engines are reached."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from testbed.errors import MachineError
from testbed.runtime.docker import endpoints


@pytest.mark.parametrize("address", ["tcp://198.18.0.1:2375", "tcp://east.example:2375", "tcp://[2001:2::1]:2375"])
def test_tcp_without_tls_is_refused(address):
    with pytest.raises(MachineError, match=r"no-tls.*root on its machine(.|\n)*ssh://"):
        endpoints.named(address)


@pytest.mark.parametrize(
    "address", ["tcp://127.0.0.1:2375", "tcp://localhost:2375", "tcp://[::1]:2375", "unix:///a.sock"]
)
def test_tcp_to_this_machine_needs_no_tls(address):
    assert endpoints.named(address).url == address


def test_a_context_that_is_not_there(monkeypatch, tmp_path):
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    with pytest.raises(MachineError, match=r"unknown-context.*'away'(.|\n)*docker context create away"):
        endpoints.named("away")


def test_an_error_of_ssh_is_shown_in_its_own_words(monkeypatch, tmp_path):
    program = tmp_path / "ssh"
    program.write_text("#!/bin/sh\necho 'Permission denied (publickey).' >&2\nexit 255\n", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(
        MachineError, match=r"ssh-failed: ssh to ssh://user@east says: Permission denied \(publickey\)\."
    ):
        endpoints.named("ssh://user@east")


FORWARDS = """#!/bin/sh
while [ "$1" != -L ]; do shift; done
touch "${2%%:*}"
cat
"""
COMMAND = """
import signal, sys
from testbed.runtime.docker import endpoints
signal.signal(signal.SIGINT, signal.SIG_IGN)
endpoint = endpoints.named("ssh://user@east")
print(endpoint.forwarding.path, flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("end", ["killed", "at the end of its work"])
def test_a_forwarded_socket_outlives_ctrl_c_and_goes_with_its_command(tmp_path, end):
    (tmp_path / "ssh").write_text(FORWARDS, encoding="utf-8")
    (tmp_path / "ssh").chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    argv, pipe = [sys.executable, "-c", COMMAND], subprocess.PIPE
    with subprocess.Popen(argv, env=environment, start_new_session=True, stdin=pipe, stdout=pipe, text=True) as command:
        assert command.stdin is not None
        assert command.stdout is not None
        directory = Path(command.stdout.readline().strip()).parent
        os.killpg(command.pid, signal.SIGINT)
        time.sleep(0.2)
        assert directory.exists()
        if end == "killed":
            command.kill()
        else:
            command.stdin.close()
        command.wait()
        deadline = time.monotonic() + 60
        while directory.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not directory.exists()
