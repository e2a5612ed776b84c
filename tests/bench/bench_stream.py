"""How fast tcp-stream is: `python -m tests.bench.bench_stream`, as root, from the project's root.

Beside iperf3, over an unimpaired veth between two fresh namespaces; the two take turns, so that what else the machine
does disturbs both. tcp-stream checks every byte that it receives; iperf3 checks none.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from time import monotonic_ns
from typing import NoReturn

from testbed.endpoint.spec import Spec
from testbed.plan.workloads import Workload
from testbed.workloads.running import run

SECONDS = 3
ROUNDS = 5
PREFIX = f"tb-bench-{os.getpid()}"
CLIENT, SERVER = f"{PREFIX}-a", f"{PREFIX}-b"
ADDRESSES = {CLIENT: "198.18.251.1", SERVER: "198.18.251.2"}
PORT = 40001


class Endpoint:
    """An endpoint in a namespace."""

    def __init__(self, node: str, spec: Spec) -> None:
        program = [sys.executable, "-m", "testbed.endpoint", spec.to_json()]
        command = ["ip", "netns", "exec", node, *program]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __iter__(self) -> Iterator[str]:
        assert self._process.stdout is not None
        return iter(self._process.stdout)

    def begin(self, start_ns: int) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"start_ns": start_ns}) + "\n")
        self._process.stdin.flush()

    def close_stdin(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()

    def kill(self) -> None:
        self._process.kill()

    def wait(self) -> int:
        return self._process.wait()


class Namespaces:
    """The two namespaces as a lab's nodes."""

    def now_ns(self) -> int:
        """See `testbed.workloads.nodes.Nodes`."""
        return monotonic_ns()

    def endpoint(self, node: str, spec: Spec) -> Endpoint:
        return Endpoint(node, spec)

    def program(self, node: str, argv: Sequence[str]) -> NoReturn:
        raise NotImplementedError(f"{argv[0]} in {node}: an endpoint is all that is measured here")


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)


@contextmanager
def namespaces() -> Iterator[None]:
    """Two namespaces with a veth between them."""
    try:
        for node in ADDRESSES:
            ip("netns", "add", node)
        ip("link", "add", "eth0", "netns", CLIENT, "type", "veth", "peer", "name", "eth0", "netns", SERVER)
        for node, address in ADDRESSES.items():
            ip("-n", node, "addr", "add", f"{address}/24", "dev", "eth0")
            ip("-n", node, "link", "set", "eth0", "up")
        yield
    finally:
        for node in ADDRESSES:
            subprocess.run(["ip", "netns", "del", node], check=False, stderr=subprocess.DEVNULL)


def iperf3() -> float:
    """Bits per second that an iperf3 server received."""
    command = ["ip", "netns", "exec", SERVER, "iperf3", "--server", "--one-off", "--forceflush"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        while "listening" not in server.stdout.readline():
            pass
        command = ["ip", "netns", "exec", CLIENT, "iperf3", "--json", "-t", str(SECONDS), "-c", ADDRESSES[SERVER]]
        report = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        server.stdout.read()
    return float(report["end"]["sum_received"]["bits_per_second"])


def tcp_stream() -> float:
    """Bits per second that a tcp-stream's server received and found right."""
    workload = Workload(
        name="bench",
        kind="tcp-stream",
        source=CLIENT,
        destination=SERVER,
        address=ADDRESSES[SERVER],
        port=PORT,
        seed=7,
        parameters={"duration_ns": SECONDS * 10**9},
    )
    with tempfile.TemporaryFile("w") as record:
        return run(workload, Namespaces(), record=record).number("goodput_bps") or 0.0


def main() -> None:
    """Print both, and their ratio."""
    with namespaces():
        pairs = [(iperf3(), tcp_stream()) for _ in range(ROUNDS)]
    for theirs, ours in pairs:
        print(f"iperf3 {theirs / 1e9:6.2f} Gbit/s   tcp-stream {ours / 1e9:6.2f} Gbit/s")
    theirs, ours = (statistics.median(column) for column in zip(*pairs, strict=True))
    print(f"median {theirs / 1e9:6.2f} Gbit/s          {ours / 1e9:6.2f} Gbit/s, {ours / theirs:.2f} of iperf3's")


if __name__ == "__main__":
    main()
