"""What the rules at a port cost: `python -m tests.bench filters`, as root.

Many nodes have an impaired link to one receiver, and one more node has none: its packets pass the rules at the
receiver's port, and nothing else. iperf3 counts how many datagrams it gets across. The rules are counted by tc.
"""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from testbed.runtime.state import LabDirectory
from tests.bench.bench_bringup import TESTBED, run
from tests.bench.processor_time import agent_pids

SENDERS = (0, 1, 10, 100, 1000)
SECONDS = 3
ROUNDS = 3
LAB = "bench-filters"


def topology(senders: int) -> str:
    """A receiver, a node without a link, and so many with one."""
    members = f", n: {{count: {senders}}}" if senders else ""
    links = "links: [{from: n, to: receiver, delay: 5ms}]\n" if senders else ""
    return f"name: {LAB}\nnodes: {{receiver: {{}}{members}, plain: {{}}}}\n{links}"


def datagrams() -> float:
    """How many datagrams of 64 bytes a second arrive from the node without a link."""
    server = [str(TESTBED), "exec", LAB, "receiver", "--", "iperf3", "--server", "--one-off"]
    client = [
        str(TESTBED),
        "exec",
        LAB,
        "plain",
        "--",
        "iperf3",
        "-c",
        "receiver",
        "-u",
        "-b",
        "0",
        "-l",
        "64",
        "--json",
    ]
    with subprocess.Popen(server, stdout=subprocess.DEVNULL):
        time.sleep(1)  # until it listens
        said = subprocess.run([*client, "-t", str(SECONDS)], check=True, capture_output=True, text=True).stdout
    found = json.loads(said)["end"]["sum"]
    return float(found["packets"] - found["lost_packets"]) / SECONDS


def rules() -> int:
    """How many rules the receiver's port has; it is the first port of the lab."""
    agent = max(agent_pids(LabDirectory("netns", LAB).agent_name, with_children=False))
    inside = ["nsenter", "--target", str(agent), "--net", "tc", "filter", "show", "dev", "port1001", "egress"]
    shown = subprocess.run(inside, check=False, capture_output=True, text=True).stdout
    return sum(" fh " in line and "ht divisor" not in line for line in shown.splitlines())


def measure() -> Iterator[dict[str, Any]]:
    """Yield the figures, from no senders to many."""
    if not shutil.which("iperf3"):
        print("skipped: apt-get install iperf3")
        return
    for senders in SENDERS:
        with TemporaryDirectory() as directory:
            file = Path(directory, f"{LAB}.yml")
            file.write_text(topology(senders))
            run(TESTBED, "up", file, "--runtime", "netns")
            try:
                load = os.getloadavg()[0]
                rates = sorted(datagrams() for _ in range(ROUNDS))
                found = {"nodes": senders, "rules": rules(), "rate": rates[ROUNDS // 2], "load": load}
            finally:
                run(TESTBED, "down", LAB)
        yield {"who": "testbed", "rounds": ROUNDS, **found}


def main() -> None:
    """Measure and print."""
    for found in measure():
        print(f"{found['nodes']:5} senders, {found['rules']:5} rules: {found['rate']:9,.0f} datagrams/s")


if __name__ == "__main__":
    main()
