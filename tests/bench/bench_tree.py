"""How long a tree of routers takes to come up, and its links to be checked: `python -m tests.bench tree`, as root.

A binary tree of 127 routers with a cable between each and its parent: 126 subnets, and routes in every node to all of
them. In network namespaces and in containers, and in Mininet (hosts with links between them and static routes). Outside
the timing, the last leaf has to reach the first one, over twelve hops.
"""

import time
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.bench.bench_bringup import TESTBED, Mininet, mininet_lacks, run, works

ROUTERS = 127
FIRST_LEAF = (ROUTERS + 1) // 2


def tree() -> str:
    """The topology: router n has the children 2n and 2n + 1. Each cable delays packets by a millisecond."""
    nodes = ", ".join(f"r{number}: {{router: true}}" for number in range(1, FIRST_LEAF))
    leaves = ", ".join(f"r{number}: " for number in range(FIRST_LEAF, ROUTERS + 1))
    wires = "".join(f"  - {{wire: [r{number // 2}, r{number}], delay: 1ms}}\n" for number in range(2, ROUTERS + 1))
    return f"name: bench-tree\nnodes: {{{nodes}, {leaves}}}\nlinks:\n{wires}"


def ours(runtime: str, file: Path) -> dict[str, float]:
    """Seconds to come up, to check all links, and to go."""
    lab, took = f"bench-tree-{runtime}", {}
    try:
        for step, command in (
            ("up", ("up", file, "--runtime", runtime, "--name", lab)),
            ("", ("exec", lab, f"r{ROUTERS}", "--", "ping", "-c1", "-W5", f"r{FIRST_LEAF}")),
            ("check", ("check", lab, "--check-budget", "300")),
            ("down", ("down", lab)),
        ):
            begun = time.monotonic()
            # A busy machine may find links late, which is status 1; that is not what is measured here.
            run(TESTBED, *command, fine=(0, 1) if step == "check" else (0,))
            if step:
                took[step] = time.monotonic() - begun
    except BaseException:
        with suppress(SystemExit):
            run(TESTBED, "down", lab)
        raise
    return took


def mininets(directory: Path) -> dict[str, float]:
    """Seconds that Mininet takes to come up and to go."""
    lab = Mininet(ROUTERS, directory, "tree")
    begun = time.monotonic()
    lab.up()
    up = time.monotonic() - begun
    lab.verify()
    begun = time.monotonic()
    lab.down()
    return {"up": up, "down": time.monotonic() - begun}


def main() -> None:
    """Measure and print."""
    print(f"seconds, of a tree of {ROUTERS} routers with {ROUTERS - 1} cables, {2 * (ROUTERS - 1)} links")
    with TemporaryDirectory() as directory:
        file = Path(directory, "tree.yml")
        file.write_text(tree())
        for runtime in ("netns", "docker"):
            if runtime == "docker" and not works("docker", "version"):
                print("skipped: docker: start a Docker Engine")
                continue
            print(
                f"{runtime:8}",
                *(f"{step} {seconds:7.2f}  " for step, seconds in ours(runtime, file).items()),
                flush=True,
            )
        if lacks := mininet_lacks():
            print(f"skipped: Mininet: {lacks}")
        else:
            print("Mininet ", *(f"{step} {seconds:7.2f}  " for step, seconds in mininets(Path(directory)).items()))


if __name__ == "__main__":
    main()
