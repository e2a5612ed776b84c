"""Machines for Dask's workers: namespaces of their own, joined by veth pairs to the one that the scheduler is on.

A machine has its own network, processes and labs (/run/testbed). All speak TLS, with one certificate.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from testbed.runtime import state
from tests.conftest import ROOT
from tests.live.command_line import COMMAND, eventually

ADDRESS = "tls://198.18.200.1:8786"
_HOLD = "mount -t tmpfs -o mode=0700 tmpfs /run/testbed; ip link set lo up; echo ready; while sleep 1; do :; done"
_UNSHARE = ("unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")


def certified(directory):
    """The environment in which Dask requires TLS, by its own configuration; the certificate signs itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "workers of a test")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (directory / "key.pem").write_bytes(key.private_bytes(*form))
    (directory / "certificate.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    tls = {"CA_FILE": directory / "certificate.pem"}
    for role in ("SCHEDULER", "WORKER", "CLIENT"):
        tls |= {f"{role}__CERT": directory / "certificate.pem", f"{role}__KEY": directory / "key.pem"}
    settings = {f"DASK_DISTRIBUTED__COMM__TLS__{key}": str(value) for key, value in tls.items()}
    return os.environ | settings | {"DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION": "true"}


class Machine:
    """Namespaces that live as long as this."""

    def __init__(self, environment, directory):
        state.root()  # where the machine's own is mounted
        self.environment, self.directory = environment, directory
        self._holder = subprocess.Popen([*_UNSHARE, "sh", "-c", _HOLD], stdout=subprocess.PIPE)
        assert self._holder.stdout
        assert self._holder.stdout.readline() == b"ready\n"
        self.pid = int(children(self._holder.pid)[0])
        self.programs = {}

    def command(self, *argv):
        return ["nsenter", "--target", str(self.pid), "--all", f"--wdns={ROOT}", *map(str, argv)]

    def run(self, *argv):
        subprocess.run(self.command(*argv), check=True, timeout=60)

    def begin(self, name, *argv):
        with (self.directory / f"{name}.log").open("wb") as log:
            self.programs[name] = subprocess.Popen(self.command(*argv), stdout=log, stderr=log, env=self.environment)

    def kill(self, name):
        """Kill a program at once, and nothing that it has started."""
        os.kill(int(children(self.programs[name].pid)[0]), signal.SIGKILL)

    def labs(self):
        return [path.name for path in Path(f"/proc/{self.pid}/root/run/testbed/netns").glob("*")]

    def end(self):
        assert self._holder.stdout
        self._holder.kill()
        for process in (self._holder, *self.programs.values()):
            process.wait()
        self._holder.stdout.close()


def children(pid):
    assert eventually(lambda: Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


class Cluster:
    """A scheduler and workers named east1, east2 and east3, each on a machine of its own."""

    def __init__(self, directory):
        self.environment = certified(directory)
        self.commands = []
        self.scheduler = Machine(self.environment, directory)
        self.workers = {f"east{number}": Machine(self.environment, directory) for number in (1, 2, 3)}
        self.scheduler.run("ip", "link", "add", "lan", "up", "type", "bridge")
        self.scheduler.run("ip", "address", "add", "198.18.200.1/24", "dev", "lan")
        dask = [sys.executable, "-m"]
        self.scheduler.begin("scheduler", *dask, "distributed.cli.dask_scheduler", *self.options(1))
        for host, (name, machine) in enumerate(self.workers.items(), 11):
            peer = ["peer", "name", "eth0", "netns", str(machine.pid)]
            # From outside of its namespace of processes, where the pid is valid.
            enter = ["nsenter", "--target", str(self.scheduler.pid), "--net"]
            subprocess.run(
                [*enter, "ip", "link", "add", name, "up", "master", "lan", "type", "veth", *peer], check=True
            )
            machine.run("ip", "address", "add", f"198.18.200.{host}/24", "dev", "eth0")
            machine.run("ip", "link", "set", "eth0", "up")
            options = ["--no-nanny", "--nthreads", "1", "--resources", "lab=1", "--name", name, *self.options(host)]
            scratch = ["--local-directory", str(directory / name)]
            machine.begin("worker", *dask, "distributed.cli.dask_worker", ADDRESS, *options, *scratch)

    @staticmethod
    def options(host):
        port = 8786 if host == 1 else 0
        return [
            "--protocol",
            "tls",
            "--host",
            f"198.18.200.{host}",
            "--port" if port else "--worker-port",
            port,
            "--no-dashboard",
        ]

    def sweep(self, *argv, environment=None):
        """Begin a sweep on the scheduler's machine."""
        command = self.scheduler.command(*COMMAND, "sweep", *argv, "--workers", ADDRESS)
        pipe = subprocess.PIPE
        self.commands.append(
            subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environment or self.environment)
        )
        return self.commands[-1]

    def labs(self):
        return [lab for machine in (self.scheduler, *self.workers.values()) for lab in machine.labs()]

    def end(self):
        for machine in (self.scheduler, *self.workers.values()):
            machine.end()
        for command in self.commands:
            command.communicate()
