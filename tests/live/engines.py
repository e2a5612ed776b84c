"""Docker Engines in namespaces of their own, joined as a Swarm: several machines on one.

Each has a pid namespace, which ends with all that runs in it, a network namespace, and a mount namespace in which /run
is its own; so it has a containerd, sandboxes and a socket of its own. All but the first count their monotonic clocks
from another time (time_namespaces(7)), as machines that were started at other times do. A bridge in a further network
namespace connects them.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests import directories

START_SECONDS = 60
OVERLAY_TRIES = 5
AHEAD_SECONDS = 86_400
"""How far the monotonic clock of the second machine is ahead; that of the third twice as far, and so on."""

SUBNET = "198.18.254"
HUB = f"{SUBNET}.254"
"""The address of the machine that connects the others, from where their Docker Engines can be reached by TCP."""

IMAGES = ("testbed:latest",)


def missing():
    """Why this machine can't have Docker Engines of its own, or None where it can."""
    if os.geteuid() != 0:
        return "only root can start Docker Engines"
    if lacking := [
        each for each in ("dockerd", "containerd", "unshare", "nsenter", "ip", "sshd") if not shutil.which(each)
    ]:
        return f"not installed: {', '.join(lacking)}"
    return None if Path("/proc/self/ns/time").exists() else "the kernel has no time namespaces"


@dataclass
class Engine:
    """A Docker Engine.

    Attributes:
        name: of the machine that it stands for.
        place: its files.
        ip: its machine's address.
        process: unshare(1), whose child it is.
        hub: pid of a process in the network namespace that connects the machines.
        pid: of the Docker Engine.
    """

    name: str
    place: Path
    ip: str
    process: subprocess.Popen[bytes]
    hub: int
    pid: int = 0

    @property
    def address(self):
        """Of its Unix socket."""
        return f"unix://{self.place}/docker.sock"

    def docker(self, *argv, **options):
        command = ["docker", "--host", self.address, *map(str, argv)]
        done = subprocess.run(command, capture_output=True, check=False, **{"text": True, **options})
        assert done.returncode == 0, f"{command}: {done.stderr}"
        return done.stdout.strip()

    def start_on_overlays(self, name, *options):
        """Start a container on overlay networks, made anew as long as the Swarm is too busy to attach it in time."""
        for _ in range(OVERLAY_TRIES):
            self.docker("create", "--name", name, *options)
            if self._busy_at("start", name):
                self._busy_at("start", name)  # which makes it let go of the attachment: see overlays.made
                self.docker("rm", "--force", name)
            else:
                return
        raise AssertionError(f"{name} could not be attached in {OVERLAY_TRIES} tries")

    def restart(self, *names):
        """Restart containers, as often as it takes until the Swarm attaches them in time."""
        for name in names:
            tries = ["restart", *["start"] * OVERLAY_TRIES]
            assert any(not self._busy_at(verb, name, "--time=0" if verb == "restart" else "") for verb in tries)

    def _busy_at(self, verb, name, *options):
        """Whether the Swarm is too busy to attach a container in time, or has not let go of it yet."""
        argv = ["docker", "--host", self.address, verb, *filter(None, options), name]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        assert not done.returncode or re.search("deadline exceeded|network .* not found", done.stderr), done.stderr
        return done.returncode != 0

    def inside(self, *argv):
        """Run a command in the machine's network namespace."""
        return run("nsenter", f"--net=/proc/{self.pid}/ns/net", "--", *argv)

    def command_within(self, lab, node, *argv):
        """Return a command that runs one of this machine in the namespace of a node of a lab, as text."""
        pid = self.docker("inspect", "--format", "{{.State.Pid}}", f"testbed-{lab}-{node}")
        machine, its_node = [f"--target={self.pid}", "--mount", "--pid", "--"], [f"--target={pid}", "--net", "--"]
        return shlex.join(["nsenter", *machine, "nsenter", *its_node, *argv])

    def within(self, lab, node, *argv):
        """Run a command of this machine in the network namespace of a node of a lab."""
        return run("sh", "-c", self.command_within(lab, node, *argv))

    def remains(self, lab):
        """What is left of a lab on the machine: containers, networks, volumes, devices."""
        label = f"label=testbed.lab={lab}"
        found = [f"container {each}" for each in self.docker("ps", "-aq", "--filter", label).split()]
        found += [f"network {each}" for each in self.docker("network", "ls", "-q", "--filter", label).split()]
        found += [f"volume {each}" for each in self.docker("volume", "ls", "-q", "--filter", label).split()]
        return found + [line for line in self.inside("ip", "link").splitlines() if f"testbed {lab} " in line]

    def plug(self, *, is_in):
        """Plug the machine's network cable in, or pull it out; its Docker Engine's Unix socket is not affected."""
        state = "up" if is_in else "down"
        run("nsenter", f"--net=/proc/{self.hub}/ns/net", "--", "ip", "link", "set", self.name, state)

    def stop(self):
        """Let the machine vanish, with everything that runs on it, as one does that loses its power."""
        if self.process.poll() is None:
            os.kill(self.pid, signal.SIGKILL)  # the first process of the pid namespace
            self.process.wait(START_SECONDS)


def run(*argv):
    done = subprocess.run([*map(str, argv)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{argv}: {done.stderr}"
    return done.stdout


def _start(root, number, name, *, listen, cgroup, hub):
    """Start a Docker Engine, which is not awaited."""
    place = root / name
    place.mkdir()
    script = (
        f"mount -t tmpfs tmpfs /run && mkdir {place}/data && mount -t tmpfs tmpfs {place}/data && ip link set lo up && "
        "exec dockerd --bridge none --log-level warn "
        f"--host unix://{place}/docker.sock --host unix:///run/docker.sock {listen} "
        f"--data-root {place}/data --cgroup-parent {cgroup}"
    )
    argv = ["unshare", "--net", "--mount", "--pid", "--mount-proc", "--fork", "--kill-child"]
    if number:
        argv += ["--time", "--monotonic", str(number * AHEAD_SECONDS)]
    with (place / "log").open("wb") as log:
        process = subprocess.Popen([*argv, "sh", "-c", script], stdout=log, stderr=log)
    return Engine(name, place, f"{SUBNET}.{number + 1}", process, hub)


def _await(engine):
    deadline = time.monotonic() + START_SECONDS
    argv = ["docker", "--host", engine.address, "version"]
    while subprocess.run(argv, capture_output=True, check=False).returncode:
        assert engine.process.poll() is None, (engine.place / "log").read_text()
        assert time.monotonic() < deadline, (engine.place / "log").read_text()
        time.sleep(0.1)
    pid = engine.process.pid
    engine.pid = int(Path(f"/proc/{pid}/task/{pid}/children").read_text())


@contextmanager
def _hub():
    """The pid of a process in a network namespace with a bridge, and the process's end."""
    script = f"ip link add hub type bridge && ip address add {HUB}/24 dev hub && ip link set hub up"
    script = f"{script} && echo up && exec sleep infinity"
    with subprocess.Popen(["unshare", "--net", "sh", "-c", script], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "up\n"
            yield process.pid
        finally:
            process.kill()


def _connect(engine):
    enter = ["nsenter", f"--net=/proc/{engine.hub}/ns/net", "--"]
    run(*enter, "ip", "link", "add", engine.name, "type", "veth", "peer", "name", "eth0", "netns", engine.pid)
    run(*enter, "ip", "link", "set", engine.name, "master", "hub", "up")
    engine.inside("ip", "address", "add", f"{engine.ip}/24", "dev", "eth0")
    engine.inside("ip", "link", "set", "eth0", "up")


def _join(engines):
    first, *others = engines
    pool = "198.18.240.0/21"  # of networks that nobody gave a subnet
    first.docker("swarm", "init", "--advertise-addr", first.ip, "--default-addr-pool", pool)
    token = first.docker("swarm", "join-token", "--quiet", "worker")
    for engine in others:
        engine.docker("swarm", "join", "--advertise-addr", engine.ip, "--token", token, f"{first.ip}:2377")


def _load(engines):
    """Give all engines the images that this machine's has."""
    saved = subprocess.run(["docker", "save", *IMAGES], capture_output=True, check=True).stdout
    with ThreadPoolExecutor() as pool:
        for done in pool.map(lambda each: each.docker("load", text=False, input=saved), engines):
            assert b"Loaded image" in done


def _remove_cgroups(name):
    """Remove the cgroups of containers that were killed with their Docker Engine."""
    for place in [each for each in directories.below("/sys/fs/cgroup") if each.name == name]:
        for path in (*directories.below(place), place):
            path.rmdir()


@contextmanager
def swarm(root, *names, listen=""):
    """Engines by these names, joined as a Swarm; the first is its manager.

    Args:
        root: a directory for all files.
        names: of the machines.
        listen: further options of dockerd.
    """
    root.mkdir(exist_ok=True)
    cgroup = f"testbed-engines-{os.getpid()}-{root.name}"
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, root, ignore_errors=True)
        stack.callback(_remove_cgroups, cgroup)
        hub = stack.enter_context(_hub())
        engines = []
        for number, name in enumerate(names):
            engines.append(_start(root, number, name, listen=listen, cgroup=cgroup, hub=hub))
            stack.callback(engines[-1].stop)
        for engine in engines:
            _await(engine)
            _connect(engine)
        _join(engines)
        _load(engines)
        yield engines
