"""How long a lab takes to come up and go, beside Mininet and docker-compose: `python -m tests.bench bringup`, as root.

As a person would feel it: from the start of a command until it ends. The same nodes on one network each time (on one
for each thousand); rounds of ours and the peer's take turns, and medians are shown, beside the processor time, which
depends less on what else runs. Outside the timing, the last node of each lab has to reach the first. Mininet has no
command that leaves a network up: its program is timed until the network stands and from the order to take it down until
it has ended.
"""

import compileall
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple, Protocol

import testbed
from testbed.runtime.state import LabDirectory
from tests.bench.processor_time import agent_pids, command_seconds, proportional_bytes, seconds_of

TESTBED = Path(sys.executable).parent / "testbed"
DEBIAN_PYTHON = "/usr/bin/python3"
PEER_MININET = Path(__file__).parent / "peer_mininet.py"
PER_NETWORK = 1000
"""Nodes: a Linux bridge has 1,023 ports."""

PLAIN, EACH_LINK = "no links impaired", "a link of each node impaired"


class Lab(Protocol):
    """Something that comes up and goes.

    `cpu` is the processor time that it has taken so far, s, and `memory` is that of its processes; 0 if not known.
    """

    def up(self) -> None: ...
    def verify(self) -> None: ...
    def cpu(self) -> float: ...
    def memory(self) -> int: ...
    def down(self) -> None: ...


def works(*command: str) -> bool:
    """Whether a command is there and ends well."""
    return (
        shutil.which(command[0]) is not None
        and subprocess.run(command, check=False, capture_output=True).returncode == 0
    )


def compose_command() -> tuple[str, ...] | None:
    """Docker's plugin or the program of old; None where there is neither."""
    return next(
        (command for command in (("docker", "compose"), ("docker-compose",)) if works(*command, "version")), None
    )


def run(*command: str | Path, fine: tuple[int, ...] = (0,)) -> None:
    """Run a command; SystemExit with what it said unless its exit status is one of those that are fine."""
    done = subprocess.run(command, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode not in fine:
        raise SystemExit(f"{' '.join(map(str, command))}: exit status {done.returncode}\n{done.stdout}")


def topology(name: str, nodes: int, what: str) -> str:
    """A file with so many nodes; with links, from the first one to each of the others."""
    lines = [f"name: {name}", "nodes:"]
    for number, begin in enumerate(range(0, nodes, PER_NETWORK), 1):
        members = min(PER_NETWORK, nodes - begin)
        network = f", networks: [lan{number}]" if nodes > PER_NETWORK else ""
        lines.append(f"  n{number}: {{count: {members}{network}}}")
    if nodes > PER_NETWORK:
        lines += ["networks:", *(f"  lan{number}: {{}}" for number in range(1, -(-nodes // PER_NETWORK) + 1))]
    if what == EACH_LINK:
        lines += ["links:", "  - {from: n1-1, to: n1, delay: 5ms}"]
    return "\n".join(lines) + "\n"


class Ours:
    """A lab through our command line."""

    def __init__(self, runtime: str, nodes: int, directory: Path, what: str = PLAIN) -> None:
        self._runtime, self.name = runtime, f"bench-{runtime}-{nodes}"
        last = -(-nodes // PER_NETWORK)
        self._ends = f"n{last}-{nodes - (last - 1) * PER_NETWORK}", f"n{last}-1"
        self._file = directory / f"{self.name}.yml"
        self._file.write_text(topology(self.name, nodes, what))
        self._before = 0.0

    def up(self) -> None:
        self._before = command_seconds()
        run(TESTBED, "up", self._file, "--runtime", self._runtime)

    def verify(self) -> None:
        last, first = self._ends
        run(TESTBED, "exec", self.name, last, "--", "ping", "-c1", "-W5", first)

    def cpu(self) -> float:
        directory = LabDirectory(self._runtime, self.name)
        return command_seconds() - self._before + seconds_of(agent_pids(directory.agent_name))

    def memory(self) -> int:
        return proportional_bytes(agent_pids(LabDirectory(self._runtime, self.name).agent_name))

    def down(self) -> None:
        run(TESTBED, "down", self.name)


class Mininet:
    """Hosts on a Linux bridge, in a network namespace apart: in ours Docker's packet filters drop their packets."""

    def __init__(self, nodes: int, _directory: Path, shape: str = "switch") -> None:
        self._command = ("unshare", "--net", DEBIAN_PYTHON, str(PEER_MININET), str(nodes), shape)
        self._process: subprocess.Popen[str] | None = None

    def up(self) -> None:
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        self._expect("up")

    def verify(self) -> None:
        self._expect("reached")

    def cpu(self) -> float:
        """0, for it is not known: most of it goes to hundreds of shells for less than the kernel's clock tick each."""
        return 0.0

    def memory(self) -> int:
        return 0

    def down(self) -> None:
        assert self._process is not None
        self._process.communicate()

    def _expect(self, word: str) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        line = self._process.stdout.readline().strip()
        if line != word:
            self._process.kill()
            raise SystemExit(f"Mininet: expected {word!r}, got {line!r}")


class Compose:
    """Services of the same image on one network."""

    def __init__(self, nodes: int, directory: Path) -> None:
        file = directory / f"compose-{nodes}.yml"
        services = "".join(f"  n{number}: {{image: 'testbed:latest'}}\n" for number in range(1, nodes + 1))
        network = "{ipam: {config: [{subnet: 198.19.64.0/24}]}}"
        file.write_text(f"services:\n{services}networks:\n  default: {network}\n")
        self._last = f"n{nodes}"
        self._command = (*(compose_command() or ()), "-p", f"bench{nodes}", "-f", str(file))
        self._before = 0.0

    def up(self) -> None:
        self._before = command_seconds()
        run(*self._command, "up", "-d")

    def verify(self) -> None:
        run(*self._command, "exec", "-T", self._last, "ping", "-c1", "-W5", "n1")

    def cpu(self) -> float:
        return command_seconds() - self._before

    def memory(self) -> int:
        return 0

    def down(self) -> None:
        run(*self._command, "down", "-t", "0")


class Took(NamedTuple):
    """What a lab took to come up, and to go.

    Attributes:
        up, down: seconds.
        cpu: seconds of processor time to come up.
        memory: bytes that it takes while it is up: its processes (PSS), and what the kernel can't give back; 0 where
            its processes are not known.
        load: the load average before.
    """

    up: float
    down: float
    cpu: float
    memory: float
    load: float


def measure(lab: Lab) -> Took:
    """Bring a lab up, and take it down."""
    load, before, start = os.getloadavg()[0], kernel_bytes(), time.monotonic()
    try:
        lab.up()
        up, cpu = time.monotonic() - start, lab.cpu()
        memory = max(0, kernel_bytes() - before + own) if (own := lab.memory()) else 0
        lab.verify()
    except BaseException:
        with suppress(SystemExit):
            lab.down()
        raise
    start = time.monotonic()
    lab.down()
    return Took(up, time.monotonic() - start, cpu, memory, load)


class Race(NamedTuple):
    """A runtime of ours beside a peer, or alone.

    Attributes:
        runtime: ours.
        what: is brought up.
        rounds: by the number of nodes.
        peer_name: empty for none.
        peer: makes its lab.
        peer_most: the most nodes for it.
        lacks: what this machine needs for the runtime, or None.
        peer_lacks: the same for the peer.
    """

    runtime: str
    what: str
    rounds: dict[int, int]
    peer_name: str = ""
    peer: Callable[[int, Path], Lab] | None = None
    peer_most: int = 0
    lacks: str | None = None
    peer_lacks: str | None = None


def races() -> tuple[Race, ...]:
    """All of them, each with what this machine lacks for it."""
    return (
        Race(
            "netns",
            PLAIN,
            {2: 7, 50: 3, 200: 3, 500: 1, 1000: 3, 2000: 1, 4000: 1},
            "Mininet",
            Mininet,
            500,
            peer_lacks=mininet_lacks(),
        ),
        Race("netns", EACH_LINK, {2: 7, 50: 3, 200: 3, 500: 3, 1000: 3}),
        Race(
            "docker",
            PLAIN,
            {2: 5, 20: 3, 50: 3, 200: 1},
            "docker-compose",
            Compose,
            50,
            lacks=None if works("docker", "version") else "start a Docker Engine",
            peer_lacks=None if compose_command() else "apt-get install docker-compose",
        ),
    )


def mininet_lacks() -> str | None:
    """What to install for Mininet, or None."""
    found = works(DEBIAN_PYTHON, "-c", "import mininet") and shutil.which("brctl")
    return None if found else "apt-get install mininet bridge-utils"


class Result(NamedTuple):
    """Medians of ours and the peer's; None where there was no peer."""

    nodes: int
    rounds: int
    ours: Took
    peer: Took | None


def results(race: Race) -> Iterator[Result]:
    """Measure, from few nodes to many."""
    for nodes, rounds in race.rounds.items():
        with TemporaryDirectory() as directory:
            ours = Ours(race.runtime, nodes, Path(directory), race.what)
            peer = race.peer(nodes, Path(directory)) if race.peer and nodes <= race.peer_most else None
            peer = None if race.peer_lacks else peer
            taken = [(measure(ours), measure(peer) if peer else None) for _ in range(rounds)]
        others = [took for _, took in taken if took]
        yield Result(nodes, rounds, median([took for took, _ in taken]), median(others) if others else None)


def median(taken: list[Took]) -> Took:
    """The median of each figure."""
    return Took(*(statistics.median(column) for column in zip(*taken, strict=True)))


def kernel_bytes() -> int:
    """Memory of the kernel that it can't give back, see proc_meminfo(5)."""
    fields = (line.split() for line in Path("/proc/meminfo").read_text().splitlines())
    return (
        sum(int(kb) for name, kb, *_ in fields if name in {"SUnreclaim:", "Percpu:", "KernelStack:", "PageTables:"})
        * 1024
    )


def main() -> None:
    """Measure and print."""
    compile_all()
    print("seconds, median of the rounds; CPU: processor time to come up; KB: memory per node")
    for race in races():
        if race.lacks:
            print(f"skipped: {race.runtime}: {race.lacks}")
            continue
        if race.peer_lacks:
            print(f"skipped: {race.peer_name}: {race.peer_lacks}")
        print(f"\n{race.runtime}, {race.what}")
        print(f"{'nodes':>5} {'rounds':>6} {'load':>5}   {'up':>7} {'CPU':>7} {'down':>7} {'KB':>6}", end="")
        print(f"   {race.peer_name}: up, CPU, down; up by ours" if race.peer_name else "")
        for found in results(race):
            ours, peer = found.ours, found.peer
            print(f"{found.nodes:5} {found.rounds:6} {ours.load:5.1f}   {ours.up:7.2f} {ours.cpu:7.2f} ", end="")
            print(f"{ours.down:7.2f} {ours.memory / found.nodes / 1024:6.0f}", end="")
            if peer:
                print(f"   {peer.up:7.2f} {peer.cpu:7.2f} {peer.down:7.2f}   {peer.up / ours.up:5.1f}", end="")
            print(flush=True)


def compile_all() -> None:
    """Compile the package, as it is after anyone's first command; Mininet's is too."""
    compileall.compile_dir(Path(testbed.__file__).parent, quiet=1)


if __name__ == "__main__":
    main()
