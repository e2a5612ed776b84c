"""How fast the userspace engine is: `python -m tests.bench.bench_engine`, as root, from the project's root.

On the two nodes of the live test's network, each figure with and without the engine in the way: the RTT of ping on an
idle link (what the engine adds, per direction), UDP datagrams delivered and what they cost the worker, also where their
sender shares the worker's core, TCP goodput with windows that fill the link. For the links with a rate also what
tcpdump sees arrive of TCP, with all headers, beside the rate.
"""

import asyncio
import json
import os
import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from testbed.engines.userspace.workers import Workers
from testbed.impairments import CERTAIN, CLEAR, Bottleneck, CoDel, FixedRate, Impairments, IndependentLoss, Jitter
from tests.bench.arrivals import stream_bps
from tests.counting import counted
from tests.live.test_userspace_worker import ShapedPair, run

SECONDS = 4
MS = 1_000_000
WINDOW_MOST = 64 << 20
SHAPES = {
    "clear": CLEAR,
    "delay 5 ms": Impairments(delay_ns=5 * MS),
    "5 ms, loss 10^-5": Impairments(delay_ns=5 * MS, loss=IndependentLoss(probability=CERTAIN // 10**5)),
    **{
        f"5 ms, {mbit / 1000:g} Gbit/s, 10 ms of queue": Impairments(
            delay_ns=5 * MS, bottleneck=Bottleneck(rate=FixedRate(bps=mbit * 10**6), queue_bytes=mbit * 1250)
        )
        for mbit in (1000, 2500, 5000)
    },
    "delay 10 ms": Impairments(delay_ns=10 * MS),
    "10 ms +- 2 ms, loss 1 in 2^32": Impairments(
        delay_ns=10 * MS, jitter=Jitter(ns=2 * MS), loss=IndependentLoss(probability=1)
    ),
    "10 ms, 10 Gbit/s, 10 MB queue": Impairments(
        delay_ns=10 * MS, bottleneck=Bottleneck(rate=FixedRate(bps=10**10), queue_bytes=10**7)
    ),
    "10 ms, 10 Gbit/s, 10 MB CoDel": Impairments(
        delay_ns=10 * MS, bottleneck=Bottleneck(rate=FixedRate(bps=10**10), queue_bytes=10**7, discipline=CoDel())
    ),
}


async def iperf3(pair: ShapedPair, *options: str) -> dict[str, Any]:
    """The report of an iperf3 client in a, its server in b."""
    inside = ("ip", "netns", "exec")
    command = (*inside, f"{pair.prefix}-b", "iperf3", "--server", "--one-off")
    server = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    await asyncio.sleep(0.5)
    options = ("--json", "-c", pair.addresses["b"], "-t", str(SECONDS), *options)
    client = await asyncio.create_subprocess_exec(
        *inside, f"{pair.prefix}-a", "iperf3", *options, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await client.communicate()
    await server.communicate()
    end: dict[str, Any] = json.loads(output)["end"]
    return end


async def rtt(pair: ShapedPair) -> tuple[float, float]:
    """Median and 99th percentile, microseconds."""
    values = sorted((await pair.ping(300, "0.01")).values())
    return statistics.median(values) * 1000, values[int(len(values) * 0.99)] * 1000


async def arriving_bps(pair: ShapedPair) -> float:
    """Bits per second, with all headers, of the TCP that tcpdump sees in b."""
    inside = ("ip", "netns", "exec", f"{pair.prefix}-b", "tcpdump", "-nn", "-tt", "-s", "96", "-B", "65536")
    only = ("-i", "eth0", "tcp and src", pair.addresses["a"])
    process = await asyncio.create_subprocess_exec(
        *inside, *only, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    reading = asyncio.create_task(process.communicate())
    await asyncio.sleep(1)
    await iperf3(pair, "-P", "2")
    process.terminate()
    output, _ = await reading
    return stream_bps(output.decode())


@contextmanager
def on_one_core(worker: int) -> Iterator[None]:
    """The worker and all that is started meanwhile share a core."""
    allowed = os.sched_getaffinity(0)
    for process in (0, worker):
        os.sched_setaffinity(process, {min(allowed)})
    try:
        yield
    finally:
        for process in (0, worker):
            os.sched_setaffinity(process, allowed)


async def udp(pair: ShapedPair, engine: Workers, size: int) -> str:
    before = counted((await engine.counters())["b"])
    await iperf3(pair, "-u", "-b", "0", "-l", str(size))
    after = counted((await engine.counters())["b"])
    cpu = (after.worker_cpu_ns - before.worker_cpu_ns) / 1e9
    packets = after.packets_out - before.packets_out
    return (
        f"{packets / SECONDS:9,.0f}/s {packets / cpu:9,.0f} per CPU second, "
        f"{after.kernel_drops + after.backlog_drops - before.kernel_drops - before.backlog_drops:,} too many"
    )


async def measure() -> None:
    """Print the table."""
    with ShapedPair() as pair:
        for node in "ab":
            for kind in ("rmem", "wmem"):
                sysctl = f"net.ipv4.tcp_{kind}=4096 131072 {WINDOW_MOST}"
                run("ip", "netns", "exec", f"{pair.prefix}-{node}", "sysctl", "-qw", sysctl)
        print(f"load {os.getloadavg()[0]:.1f}")
        plain = await rtt(pair)
        goodput = (await iperf3(pair))["sum_received"]["bits_per_second"]
        print(f"without engine: RTT p50 {plain[0]:.0f} us, p99 {plain[1]:.0f} us; TCP {goodput / 1e6:,.0f} Mbit/s")
        async with Workers() as engine:
            await pair.impairments(engine, "b", CLEAR)
            await pair.impairments(engine, "a", CLEAR)
            for name, impairments in SHAPES.items():
                await engine.replace("a", impairments)
                await engine.replace("b", impairments)
                print(name)
                if not impairments.jitter_ns:
                    impaired = await rtt(pair)
                    p50, p99 = ((x - y) / 2 - impairments.delay_ns / 1000 for x, y in zip(impaired, plain, strict=True))
                    print(f"  added delay, per direction, idle    p50 {p50:.0f} us, p99 {p99:.0f} us")
                print(f"  UDP   64 byte datagrams             {await udp(pair, engine, 64)}")
                print(f"  UDP 1400 byte datagrams             {await udp(pair, engine, 1400)}")
                with on_one_core(counted((await engine.counters())["b"]).worker):
                    print(f"  UDP   64 byte datagrams, one core   {await udp(pair, engine, 64)}")
                goodput = (await iperf3(pair))["sum_received"]["bits_per_second"]
                print(f"  TCP                                 {goodput / 1e6:,.0f} Mbit/s")
                if impairments.bottleneck and impairments.bottleneck.rate.mean_bps < 10**10:
                    arrived = await arriving_bps(pair)
                    error = arrived / impairments.bottleneck.rate.mean_bps - 1
                    print(f"  TCP that arrives, by tcpdump        {arrived / 1e6:,.1f} Mbit/s, {100 * error:+.2f} %")
        print(f"load {os.getloadavg()[0]:.1f}")


def main() -> None:
    """Measure and print."""
    asyncio.run(measure())


if __name__ == "__main__":
    main()
