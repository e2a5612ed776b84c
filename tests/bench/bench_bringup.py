"""How long a lab takes to come up and go, beside Mininet and docker-compose: `python -m tests.bench bringup`, as root.

As a person would feel it: from the start of a command until it ends. The same nodes on one network each time, no links
impaired; rounds of ours and the peer's take turns, and medians are shown. Outside the timing, the last node of each lab
has to reach the first. Mininet has no command that leaves a network up: its program is timed until the network stands
and from the order to take it down until it has ended.
"""

import compileall
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple, Protocol

import testbed

TESTBED = Path(sys.executable).parent / "testbed"
DEBIAN_PYTHON = "/usr/bin/python3"
PEER_MININET = Path(__file__).parent / "peer_mininet.py"


class Lab(Protocol):
    """Something that comes up and goes."""

    def up(self) -> None: ...
    def verify(self) -> None: ...
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


class Ours:
    """A lab through our command line."""

    def __init__(self, runtime: str, nodes: int, directory: Path) -> None:
        self._runtime, self._name, self._last = runtime, f"bench-{runtime}-{nodes}", f"n{nodes}"
        self._file = directory / f"{self._name}.yml"
        lines = [f"name: {self._name}", "nodes:", *(f"  n{number}: {{}}" for number in range(1, nodes + 1))]
        self._file.write_text("\n".join(lines) + "\n")

    def up(self) -> None:
        run(TESTBED, "up", self._file, "--runtime", self._runtime)

    def verify(self) -> None:
        run(TESTBED, "exec", self._name, self._last, "--", "ping", "-c1", "-W5", "n1")

    def down(self) -> None:
        run(TESTBED, "down", self._name)


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

    def up(self) -> None:
        run(*self._command, "up", "-d")

    def verify(self) -> None:
        run(*self._command, "exec", "-T", self._last, "ping", "-c1", "-W5", "n1")

    def down(self) -> None:
        run(*self._command, "down", "-t", "0")


def measure(lab: Lab) -> tuple[float, float]:
    """Seconds to come up and to go."""
    start = time.monotonic()
    try:
        lab.up()
        up = time.monotonic() - start
        lab.verify()
    except BaseException:
        with suppress(SystemExit):
            lab.down()
        raise
    start = time.monotonic()
    lab.down()
    return up, time.monotonic() - start


class Race(NamedTuple):
    """A runtime of ours beside a peer: nodes to rounds."""

    runtime: str
    peer_name: str
    peer: Callable[[int, Path], Lab]
    rounds: dict[int, int]
    lacks: str | None


def races() -> tuple[Race, ...]:
    """Both, each with what this machine lacks for it."""
    mininet = works(DEBIAN_PYTHON, "-c", "import mininet") and shutil.which("brctl")
    compose = works("docker", "version") and compose_command()
    return (
        Race(
            "netns",
            "Mininet",
            Mininet,
            {2: 5, 20: 5, 100: 3},
            None if mininet else "apt-get install mininet bridge-utils",
        ),
        Race(
            "docker",
            "docker-compose",
            Compose,
            {2: 5, 20: 3, 50: 3},
            None if compose else "start a Docker Engine; apt-get install docker-compose",
        ),
    )


def main() -> None:
    """Measure and print."""
    compileall.compile_dir(
        Path(testbed.__file__).parent, quiet=1
    )  # as it is after anyone's first run; Mininet's is too
    print("seconds, median of the rounds; ratio: the peer's time by ours")
    for race in races():
        if race.lacks:
            print(f"skipped: {race.runtime} beside {race.peer_name}: {race.lacks}")
            continue
        print(f"\n{'nodes':>5} {'rounds':>6}   {'up: ' + race.runtime:>12} {race.peer_name:>15} {'ratio':>6}", end="")
        print(f"   {'down: ' + race.runtime:>12} {race.peer_name:>15} {'ratio':>6}")
        for nodes, rounds in race.rounds.items():
            with TemporaryDirectory() as directory:
                labs: tuple[Lab, Lab] = (Ours(race.runtime, nodes, Path(directory)), race.peer(nodes, Path(directory)))
                times = [[measure(lab) for lab in labs] for _ in range(rounds)]
            print(f"{nodes:5} {rounds:6}", end="")
            for step in (0, 1):
                ours, peer = (statistics.median(one[side][step] for one in times) for side in (0, 1))
                print(f"   {ours:12.2f} {peer:15.2f} {peer / ours:6.1f}", end="")
            print(flush=True)


if __name__ == "__main__":
    main()
