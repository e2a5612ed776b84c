"""How the time to bring a lab up grows with its links: `python -m tests.bench links`, as root.

Full meshes on one network, each direction with a delay, in network namespaces. Beside the time that a person waits,
how long it takes to plan, and the processor time of the command and of the lab's agent (with its workers): that does
not depend on what else runs. The last mesh needs 16 GB of memory.
"""

import time
from pathlib import Path
from tempfile import TemporaryDirectory

from testbed.plan import resolve
from testbed.runtime.state import LabDirectory
from testbed.topology import load
from tests.bench.bench_bringup import TESTBED, run
from tests.bench.processor_time import agent_pids, command_seconds, seconds_of

_NODES = (16, 32, 50, 100, 200)


def mesh(nodes: int) -> str:
    """A topology in which every node has a link to every other."""
    return f"name: mesh\nnodes: {{n: {{count: {nodes}}}}}\nlinks: [{{between: [n, n], delay: 5ms}}]\n"


def plan_seconds(file: Path) -> float:
    """How long it takes to read a file and to resolve it to a plan with its digest."""
    start = time.monotonic()
    assert resolve(load(file)).digest
    return time.monotonic() - start


def main() -> None:
    """Measure and print."""
    print("seconds; `down` is how long a person waits for that")
    print(
        f"{'links':>5}   {'plan':>6}   {'up':>6} {'per link':>9}   {'CPU command':>11} {'CPU agent':>9} "
        f"{'per link':>9}   {'down':>6}"
    )
    for nodes in _NODES:
        links, lab = nodes * (nodes - 1), f"bench-links-{nodes}"
        with TemporaryDirectory() as directory:
            file = Path(directory, f"{lab}.yml")
            file.write_text(mesh(nodes))
            planned = plan_seconds(file)
            cpu, start = command_seconds(), time.monotonic()
            run(TESTBED, "up", file, "--runtime", "netns", "--name", lab)
            up, command = time.monotonic() - start, command_seconds() - cpu
            agent = seconds_of(agent_pids(LabDirectory("netns", lab).agent_name))
            start = time.monotonic()
            run(TESTBED, "down", lab)
            down = time.monotonic() - start
        print(
            f"{links:5}   {planned:6.2f}   {up:6.2f} {up / links * 1e3:6.2f} ms   {command:11.2f} {agent:9.2f} "
            f"{agent / links * 1e3:6.2f} ms   {down:6.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
