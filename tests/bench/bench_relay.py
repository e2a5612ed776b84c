"""What the kernel alone lets a core relay: `python -m tests.bench relay`, as root.

relay.c passes datagrams of 64 bytes from one veth pair to another and does nothing else, read and sent in two ways;
beside it, a link of the userspace engine does so with a delay. The sender has another core. Each way twice: the kernel
delivers a datagram to its receiver on the relay's core, as it does unless told otherwise, or on the sender's (RPS).
docs/explanation/small-packets.md says what follows.
"""

import ctypes
import multiprocessing
import os
import select
import shutil
import socket
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

from testbed.engines.userspace.link import LinkBetweenSockets
from testbed.engines.userspace.packet_sockets import open_input, open_output
from testbed.engines.userspace.reading import BATCH, FrameReader
from testbed.engines.userspace.sending import PacketSender
from testbed.impairments import Impairments
from tests.live.test_userspace_worker import CLONE_NEWNET, run

T = TypeVar("T")
ENGINE = "engine"
WAYS = ("recvmmsg", "xdp", ENGINE)
SECONDS = 2
ROUNDS = 5
SENDER, RELAY, RECEIVER = (f"bench-relay-{name}" for name in ("sender", "relay", "receiver"))
ADDRESS, PORT = "198.18.0.2", 12345
STEERING = "/sys/class/net/eth0/queues/rx-0/rps_cpus"
DATAGRAM = bytes.fromhex(
    "0242c6120002 0242c6120001 0800"  # Ethernet
    "4500005c00004000 4011ae69 c6120001 c6120002"  # IPv4, from 198.18.0.1 to 198.18.0.2
    "3039 3039 0048 0000"  # UDP, no checksum
) + bytes(64)


@contextmanager
def pairs() -> Iterator[None]:
    """A sender and a receiver, each with a veth whose other end, `from` and `to`, is with the relay."""
    try:
        for name in (SENDER, RELAY, RECEIVER):
            run("ip", "netns", "add", name)
        for node, device in ((SENDER, "from"), (RECEIVER, "to")):
            run("ip", "-n", RELAY, "link", "add", device, "type", "veth", "peer", "eth0", "netns", node)
            run("ip", "-n", RELAY, "link", "set", device, "up")
            run("ip", "-n", node, "link", "set", "eth0", "up")
        run("ip", "-n", RECEIVER, "link", "set", "eth0", "address", "02:42:c6:12:00:02")
        run("ip", "-n", RECEIVER, "address", "add", f"{ADDRESS}/24", "dev", "eth0")
        yield
    finally:
        for name in (SENDER, RELAY, RECEIVER):
            subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)


def inside(namespace: str, function: Callable[[], T]) -> T:
    """What a function returns in a network namespace."""

    def entered() -> T:
        with Path("/run/netns", namespace).open() as file:
            if ctypes.CDLL(None, use_errno=True).setns(file.fileno(), CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "setns")
        return function()

    with ThreadPoolExecutor(1) as pool:  # its thread enters the namespace, and ends there
        return pool.submit(entered).result()


def full_receiver() -> socket.socket:
    """A socket that nobody reads: what does not fit into its buffer is dropped, in the last step of delivery."""
    receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    receiver.bind((ADDRESS, PORT))
    return receiver


def flood(core: int) -> None:
    """Send datagrams for the time that is measured."""
    os.sched_setaffinity(0, {core})
    sender, batch, end = PacketSender(), [DATAGRAM] * 64, time.monotonic() + SECONDS
    with open_output(socket.if_nametoindex("eth0")) as output:
        while time.monotonic() < end:
            sender.send(output.fileno(), batch)


def by_engine(core: int) -> tuple[float, ...]:
    """Relay by a link of the userspace engine with a delay, as its worker does; return as relay.c prints."""
    os.sched_setaffinity(0, {core})
    os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    source, output = open_input(socket.if_nametoindex("from")), open_output(socket.if_nametoindex("to"))
    link = LinkBetweenSockets(Impairments(delay_ns=1_000_000), 1, source, output)
    reader, sender, began, end = FrameReader(), PacketSender(), time.thread_time(), time.monotonic() + SECONDS + 1
    while time.monotonic() < end:
        frames, _ = link.read(reader)
        link.release(time.monotonic_ns(), sender)
        if frames < BATCH:
            select.select([source], [], [], 0.001)
            time.sleep(50e-6)
    return link.emulator.stats().packets_out or 0, time.thread_time() - began


def relayed(program: Path, way: str, cores: tuple[int, int]) -> tuple[float, float]:
    """How many datagrams the relay passes a second, and the processor time for each, us."""
    flooding, relaying = cores
    pinned = ("ip", "netns", "exec", RELAY, "taskset", "--cpu-list", str(relaying), "chrt", "--rr", "1")
    with ProcessPoolExecutor(1, multiprocessing.get_context("fork")) as processes, ThreadPoolExecutor(1) as threads:
        if way == ENGINE:
            said = processes.submit(inside, RELAY, partial(by_engine, relaying))
        else:
            command = (*pinned, program, way, "from", "to", str(SECONDS + 1))
            said = threads.submit(lambda: tuple(map(float, subprocess.check_output(command).split())))
        time.sleep(0.5)  # until it reads
        inside(SENDER, partial(flood, flooding))
        sent, busy = said.result()
    return sent / SECONDS, 1e6 * busy / sent


def main() -> None:
    """Measure and print; the ways take turns, so that what else the machine does disturbs all."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2 or not shutil.which("gcc"):
        print("skipped: needs two cores and gcc")
        return
    found: dict[tuple[str, str], list[tuple[float, float]]] = {}
    with TemporaryDirectory() as directory, pairs():
        program = Path(directory, "relay")
        run("gcc", "-O2", "-o", str(program), str(Path(__file__).with_name("relay.c")))
        with inside(RECEIVER, full_receiver):
            for _ in range(ROUNDS):
                for where, mask in (("the relay's core", 0), ("the sender's core", 1 << cores[0])):
                    run("ip", "netns", "exec", RECEIVER, "sh", "-c", f"echo {mask:x} > {STEERING}")
                    for way in WAYS:
                        found.setdefault((way, where), []).append(relayed(program, way, (cores[0], cores[1])))
    for (way, where), rounds in found.items():
        best = min(cost for _, cost in rounds)
        middle = statistics.median(cost for _, cost in rounds)
        print(
            f"{way:9} received on {where:17} {max(rate for rate, _ in rounds):9,.0f}/s at most; {middle:.2f} us each, "
            f"{best:.2f} in the best of {ROUNDS} rounds: {1e6 / best:9,.0f} per second of a core"
        )
    print(f"load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
