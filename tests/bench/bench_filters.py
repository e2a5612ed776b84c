"""What the rules at a port cost: `python -m tests.bench filters`, as root.

Many nodes have an impaired link to one receiver, and one more node has none. iperf3 counts the datagrams that the
receiver gets from that node, whose packets pass the rules at the receiver's port and nothing else; then those from the
last node that has a link, whose packets are looked up among all others' and then cross the link. iperf3 also says what
a datagram costs its sender, in whose processor time the rules are looked up. tc counts the rules.
"""

import json
import os
import shutil
import statistics
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

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


class Flood(NamedTuple):
    """What iperf3 says: datagrams a second that arrive, and the sender's processor time for each that it sends, us."""

    rate: float
    cost: float


def flood(sender: str) -> Flood:
    """Send datagrams of 64 bytes to the receiver, as many as possible."""
    server = [str(TESTBED), "exec", LAB, "receiver", "--", "iperf3", "--server", "--one-off"]
    client = [str(TESTBED), "exec", LAB, sender, "--", "iperf3", "--json", "-c", "receiver", "-t", str(SECONDS)]
    with subprocess.Popen(server, stdout=subprocess.DEVNULL):
        time.sleep(1)  # until it listens
        options = ("-u", "-b", "0", "-l", "64")
        said = subprocess.run([*client, *options], check=True, capture_output=True, text=True).stdout
    end = json.loads(said)["end"]
    found = end["sum"]
    busy = end["cpu_utilization_percent"]["host_total"] / 100
    return Flood((found["packets"] - found["lost_packets"]) / SECONDS, 1e6 * busy * found["seconds"] / found["packets"])


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
                from_nodes = {"a node without a link": "plain"}
                if senders:
                    from_nodes["the last node with a link"] = f"n-{senders}" if senders > 1 else "n"
                load = os.getloadavg()[0]
                floods = {who: [flood(sender) for _ in range(ROUNDS)] for who, sender in from_nodes.items()}
                found = {"nodes": senders, "rules": rules(), "rounds": ROUNDS, "load": load}
            finally:
                run(TESTBED, "down", LAB)
        for who, each in floods.items():
            rate, cost = (statistics.median(values) for values in zip(*each, strict=True))
            yield {"who": who, "rate": rate, "cost": cost, **found}


def main() -> None:
    """Measure and print."""
    for found in measure():
        print(
            f"{found['nodes']:5} senders, {found['rules']:5} rules; {found['who']:26}: {found['rate']:9,.0f}/s, "
            f"{found['cost']:5.2f} us of the sender's processor time each"
        )


if __name__ == "__main__":
    main()
