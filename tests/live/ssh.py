"""A machine's Docker Engine reached by ssh: OpenSSH at both ends, with keys and settings of the test's own.

The server listens on the loopback. What it needs below /run is in a mount namespace of its own.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

_HOST = "127.0.0.1"
_SECONDS = 60
_SERVER = """
ListenAddress {host}:{port}
HostKey {place}/host
AuthorizedKeysFile {place}/user.pub
PidFile none
UsePAM no
StrictModes no
PasswordAuthentication no
PermitRootLogin prohibit-password
"""
_CLIENT = """
IdentityFile {place}/user
IdentitiesOnly yes
UserKnownHostsFile {place}/known
StrictHostKeyChecking yes
"""


def _free_port():
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        return probe.getsockname()[1]


@contextmanager
def server(place):
    """The address of an ssh server, without the path of a socket, and the environment of commands that may use it."""
    place.mkdir()
    values = {"place": place, "host": _HOST, "port": _free_port()}
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", place / name], check=True)
    (place / "known").write_text(f"[{_HOST}]:{values['port']} {(place / 'host.pub').read_text()}")
    (place / "server").write_text(_SERVER.format(**values))
    (place / "client").write_text(_CLIENT.format(**values))
    programs = place / "bin"  # ssh takes no settings from the environment
    programs.mkdir()
    (programs / "ssh").write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {place}/client "$@"\n')
    (programs / "ssh").chmod(0o755)
    script = f"mount -t tmpfs tmpfs /run && mkdir /run/sshd && exec {shutil.which('sshd')} -D -f {place}/server"
    with (place / "log").open("wb") as log:
        process = subprocess.Popen(["unshare", "--mount", "sh", "-c", script], stderr=log)
    try:
        deadline = time.monotonic() + _SECONDS
        while not _answers(values["port"]):
            assert process.poll() is None and time.monotonic() < deadline, (place / "log").read_text()  # noqa: PT018
            time.sleep(0.05)
        yield f"ssh://root@{_HOST}:{values['port']}", {"PATH": f"{programs}:{os.environ['PATH']}"}
    finally:
        process.terminate()
        process.wait()


def _answers(port):
    with socket.socket() as client:
        return client.connect_ex((_HOST, port)) == 0


def left():
    """The directories of forwarded sockets that are there."""
    return {each.name for each in Path("/tmp").glob("testbed-ssh-*")}
