"""The userspace engine between two namespaces, measured by ping."""

import asyncio
import ctypes
import os
import re
import shutil
import socket
import statistics
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Self

import pytest

from testbed.agent import offloads
from testbed.engines.counters import Counters
from testbed.engines.userspace.packet_sockets import open_input, open_output
from testbed.engines.userspace.workers import SocketLink, Workers
from testbed.errors import LabError
from testbed.impairments import (
    CERTAIN,
    CLEAR,
    Bottleneck,
    Drop,
    FixedRate,
    Impairments,
    IndependentLoss,
    Jitter,
    Opportunities,
    Times,
)

TOOLS = ("ip", "tc", "ethtool", "ping")
SEED = 7
CLONE_NEWNET = 0x40000000
AT_ONCE = 100
"""Pings whose answers have room in ping's socket, however late it reads them."""
PATIENCE_S = 60
LOST_S = 1
"""After which an answer is lost, where some are."""
ATTEMPTS = 10
"""Until a machine that is busy has carried half of the pings in time."""


class ShapedPair:
    """Nodes a and b on a bridge in a third namespace, with a port and a device for a impaired link towards each."""

    addresses = {"a": "198.18.0.1", "b": "198.18.0.2"}  # noqa: RUF012 - a constant

    def __enter__(self) -> Self:
        self.prefix = f"testbed-{os.getpid()}"
        self.switch = f"{self.prefix}-s"
        try:
            self._make()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def _make(self) -> None:
        for name in "sab":
            run("ip", "netns", "add", f"{self.prefix}-{name}")
        self.ip("s", "link", "add", "bridge", "type", "bridge")
        self.ip("s", "link", "set", "bridge", "addrgenmode", "none", "up")
        for name, other in ("ab", "ba"):
            node = f"{self.prefix}-{name}"
            self.ip("s", "link", "add", f"port-{name}", "type", "veth", "peer", "eth0", "netns", node)
            self.ip("s", "link", "set", f"port-{name}", "addrgenmode", "none", "master", "bridge", "up")
            self.ip(name, "link", "set", "eth0", "address", mac(name), "addrgenmode", "none", "up")
            self.ip(name, "address", "add", f"{self.addresses[name]}/24", "dev", "eth0")
            self.ip(name, "neighbor", "add", self.addresses[other], "lladdr", mac(other), "dev", "eth0")
            self.ip("s", "link", "add", f"in-{name}", "type", "veth", "peer", f"far-{name}")
            for device in (f"in-{name}", f"far-{name}"):
                self.ip("s", "link", "set", device, "addrgenmode", "none", "up")
            with Path(f"/run/netns/{self.switch}").open() as namespace:
                offloads.switch_off(namespace.fileno(), [f"in-{name}"], offloads.untellable())

    def redirect(self, to: str) -> None:
        """Send what the other node sends to node `to` through its link's device."""
        self.switched("tc", "qdisc", "add", "dev", f"port-{to}", "clsact")
        match = ("protocol", "all", "u32", "match", "ether", "src", mac("b" if to == "a" else "a"))
        action = ("action", "mirred", "egress", "redirect", "dev", f"in-{to}")
        self.switched("tc", "filter", "add", "dev", f"port-{to}", "egress", *match, *action)

    def sockets(self, to: str) -> tuple[socket.socket, socket.socket]:
        """Input and output of the link to node `to`."""

        def open_both() -> tuple[socket.socket, socket.socket]:
            with Path(f"/run/netns/{self.switch}").open() as namespace:
                if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), CLONE_NEWNET):
                    raise OSError(ctypes.get_errno(), "setns")
            return open_input(socket.if_nametoindex(f"far-{to}")), open_output(socket.if_nametoindex(f"port-{to}"))

        with ThreadPoolExecutor(1) as executor:  # the thread enters the namespace, and ends there
            return executor.submit(open_both).result()

    async def impairments(self, engine: Workers, to: str, impairments: Impairments) -> None:
        await engine.add([SocketLink(to, impairments, SEED, *self.sockets(to))])
        self.redirect(to)

    async def ping(
        self, count: int, interval: str | None = None, *, wait_s: int = PATIENCE_S, size: int = 56
    ) -> dict[int, float]:
        """RTT in ms of each ping from a to b that was answered, by its sequence number.

        Without an interval they are sent one right after the other, before any answer is read. Only then does ping wait
        for the last ones as long as it is told to; else for twice the longest RTT so far (iputils, ping_common.c:
        schedule_exit), which on a busy machine the last may exceed.

        Args:
            count: how many.
            interval: between them, s.
            wait_s: for how long answers may be missing before they never come.
            size: of their data.
        """
        answered = {}
        at_once = AT_ONCE if interval is None else count
        for first in range(0, count, at_once):
            some = str(min(at_once, count - first))
            paced = ("-l", some) if interval is None else ("-i", interval)
            command = ("ping", "-n", "-c", some, *paced, "-s", str(size), "-W", str(wait_s), self.addresses["b"])
            process = await asyncio.create_subprocess_exec(
                *("ip", "netns", "exec", f"{self.prefix}-a", *command), stdout=asyncio.subprocess.PIPE
            )
            output, _ = await process.communicate()
            for number, ms in re.findall(r"icmp_seq=(\d+) .*time=([\d.]+) ms", output.decode()):
                answered[first + int(number)] = float(ms)
        return answered

    def ip(self, namespace: str, *arguments: str) -> None:
        run("ip", "-n", f"{self.prefix}-{namespace}", *arguments)

    def switched(self, *command: str) -> None:
        run("ip", "netns", "exec", self.switch, *command)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name in "sab":
            subprocess.run(["ip", "netns", "del", f"{self.prefix}-{name}"], check=False, capture_output=True)


def mac(node: str) -> str:
    return {"a": "02:42:c6:12:00:01", "b": "02:42:c6:12:00:02"}[node]


def run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


@pytest.fixture
def pair():
    if missing := [tool for tool in TOOLS if not shutil.which(tool)]:
        pytest.skip(f"not installed: {', '.join(missing)}")
    if os.geteuid():
        pytest.skip("only root makes named namespaces")
    with ShapedPair() as made:
        yield made


async def pings_answered(pair: ShapedPair, impairments: Impairments) -> tuple[set[int], Counters]:
    async with Workers() as engine:
        await pair.impairments(engine, "b", impairments)
        answered = await pair.ping(300, wait_s=LOST_S)
        return set(answered), (await engine.counters())["b"]


@pytest.mark.live
def test_one_direction_of_40_ms_adds_40_ms_to_the_rtt(pair):
    async def measure():
        async with Workers() as engine:
            await pair.impairments(engine, "b", Impairments(delay_ns=40_000_000))
            for _ in range(ATTEMPTS):
                await engine.restart(["b"])
                rtts = await pair.ping(50, "0.02")
                if statistics.median(rtts.values()) <= 41.5:
                    break
            return rtts, (await engine.counters())["b"]

    rtts, stats = asyncio.run(measure())
    assert len(rtts) == 50
    assert min(rtts.values()) >= 40
    assert statistics.median(rtts.values()) <= 41.5
    assert stats.packets_in == stats.packets_out == 50
    assert stats.kernel_drops == stats.backlog_drops == stats.send_failures == stats.oversize == 0


@pytest.mark.live
def test_a_seed_loses_the_same_pings_every_time(pair):
    loss = CERTAIN // 5
    answered, stats = asyncio.run(pings_answered(pair, Impairments(loss=IndependentLoss(probability=loss))))
    draw = Random(f"{SEED}:0:loss").getrandbits
    lost = {number for number in range(1, 301) if draw(32) < loss}
    assert set(range(1, 301)) - answered == lost
    assert stats.lost == len(lost)
    pair.switched("tc", "qdisc", "del", "dev", "port-b", "clsact")
    again, _ = asyncio.run(
        pings_answered(
            pair, Impairments(loss=IndependentLoss(probability=loss), delay_ns=3_000_000, jitter=Jitter(ns=2_000_000))
        )
    )
    assert again == answered


@pytest.mark.live
def test_a_restarted_link_does_the_same_again_and_counts_from_zero(pair):
    impairments = Impairments(loss=IndependentLoss(probability=CERTAIN // 5))

    async def measure():
        async with Workers() as engine:
            await pair.impairments(engine, "b", impairments)
            await pair.ping(7, wait_s=LOST_S)
            rounds = []
            for _ in range(2):
                await engine.restart(["b"])
                rounds.append((await pair.ping(100, wait_s=LOST_S), (await engine.counters())["b"]))
            return rounds

    (first, before), (second, after) = asyncio.run(measure())
    assert set(first) == set(second) != set(range(1, 101))
    assert before.packets_in == after.packets_in == 100
    assert before.lost == after.lost == 100 - len(first)
    assert after.worker == before.worker != os.getpid()
    assert 0 < before.worker_cpu_ns < after.worker_cpu_ns


@pytest.mark.live
def test_many_links_restart_at_once_and_those_that_are_gone_hinder_no_other(pair):
    names = [f"a{number}" for number in range(130)]

    async def measure():
        async with Workers() as engine:
            await pair.impairments(engine, "b", CLEAR)
            for part in (names[:64], names[64:128], names[128:]):
                await engine.add([SocketLink(name, CLEAR, SEED, *pair.sockets("a")) for name in part])
            await pair.ping(7, wait_s=LOST_S)
            before = (await engine.counters())["b"].packets_in
            pair.switched("ip", "link", "del", "in-a")
            with pytest.raises(LabError) as caught:
                await engine.restart((*names, "b"))
            return before, (await engine.counters())["b"].packets_in, caught.value.message

    before, after, message = asyncio.run(measure())
    assert (before, after) == (7, 0)
    assert "and 63 more" in message


@pytest.mark.live
def test_a_trace_of_any_length_reaches_the_worker(pair):
    trace = Opportunities(times_ns=Times(tuple(range(0, 10**10, 10**5))), frame_bytes=1514, period_ns=10**10)

    async def measure():
        async with Workers() as engine:
            await pair.impairments(engine, "b", CLEAR)
            await engine.replace("b", Impairments(bottleneck=Bottleneck(rate=trace, queue_bytes=100_000)))
            return await pair.ping(5)

    assert len(asyncio.run(measure())) == 5


@pytest.mark.live
def test_the_scripted_packets_are_lost_and_no_others(pair):
    async def measure():
        async with Workers() as engine:
            await pair.impairments(engine, "b", Impairments(drops=(Drop(protocol="icmp", numbers=(2, 5)),)))
            return await pair.ping(6, wait_s=LOST_S), (await engine.counters())["b"]

    answered, stats = asyncio.run(measure())
    assert set(answered) == {1, 3, 4, 6}
    assert stats.scripted == 2


@pytest.mark.live
def test_replacing_and_removing_take_effect_at_once(pair):
    async def measure():
        async with Workers() as engine:
            await pair.impairments(engine, "b", CLEAR)
            clear = await pair.ping(5)
            await engine.replace("b", Impairments(loss=IndependentLoss(probability=CERTAIN)))
            black = await pair.ping(5, wait_s=LOST_S)
            await engine.replace("b", Impairments(delay_ns=20_000_000))
            slow = await pair.ping(5)
            await engine.remove("b")
            return clear, black, slow, await pair.ping(5, wait_s=LOST_S), await engine.counters()

    clear, black, slow, removed, stats = asyncio.run(measure())
    assert len(clear) == len(slow) == 5
    assert min(slow.values()) >= 20
    assert not black
    assert not removed
    assert not stats


@pytest.mark.live
def test_a_backlog_is_sent_at_the_new_rate(pair):
    async def measure():
        async with Workers() as engine:
            await pair.impairments(
                engine, "b", Impairments(bottleneck=Bottleneck(rate=FixedRate(bps=8), queue_bytes=10_000))
            )
            pings = asyncio.create_task(pair.ping(30))
            while (await engine.counters())["b"].in_flight != 30:  # noqa: ASYNC110  # only it can tell
                await asyncio.sleep(0.01)
            await engine.replace("b", Impairments(bottleneck=Bottleneck(rate=FixedRate(bps=10**8), queue_bytes=10_000)))
            return await pings, (await engine.counters())["b"]

    rtts, stats = asyncio.run(measure())
    assert len(rtts) == 30
    assert max(rtts.values()) < 1000 * PATIENCE_S  # the first one about 98 s at the old rate
    assert stats.queue_drops == 0


@pytest.mark.live
def test_a_link_whose_port_is_gone_is_dead_and_the_others_go_on(pair):
    async def measure():
        async with Workers() as engine:
            await pair.impairments(engine, "a", CLEAR)
            await pair.impairments(engine, "b", CLEAR)
            pair.ip("s", "link", "del", "in-a")
            stats = await engine.counters()
            with pytest.raises(LabError, match="dead"):
                await engine.replace("a", CLEAR)
            await pair.ping(3, wait_s=LOST_S)  # requests get through, answers don't
            return stats, await engine.counters()

    before, after = asyncio.run(measure())
    assert before["a"].dead
    assert not before["b"].dead
    assert after["b"].packets_out - before["b"].packets_out == 3


@pytest.mark.live
def test_a_port_that_is_down_loses_frames_and_recovers(pair):
    async def measure():
        async with Workers() as engine:
            await pair.impairments(engine, "b", CLEAR)
            pair.ip("s", "link", "set", "port-b", "down")
            pair.ip("s", "link", "set", "far-b", "down")
            pair.ip("s", "link", "set", "far-b", "up")
            pair.ip("s", "link", "set", "port-b", "up")
            return await pair.ping(20, "0.02", wait_s=LOST_S), (await engine.counters())["b"]

    answered, stats = asyncio.run(measure())
    assert answered
    assert not stats.dead


@pytest.mark.live
def test_a_frame_larger_than_the_mtu_is_dropped_and_counted(pair):
    async def measure():
        async with Workers() as engine:
            for device in ("in-b", "port-b"):
                pair.ip("s", "link", "set", device, "mtu", "2000")
            pair.ip("s", "link", "set", "far-b", "mtu", "1000")
            await pair.impairments(engine, "b", CLEAR)
            pair.ip("s", "link", "set", "far-b", "mtu", "2000")
            await pair.ping(3, wait_s=LOST_S, size=1200)
            return (await engine.counters())["b"]

    stats = asyncio.run(measure())
    assert stats.oversize == 3
    assert stats.packets_out == 0


@pytest.mark.live
def test_links_of_a_killed_worker_are_dead_and_it_is_not_revived(pair):
    async def measure():
        async with Workers() as engine:
            await pair.impairments(engine, "b", CLEAR)
            (worker,) = engine._workers
            worker._process.kill()
            await worker._process.wait()
            with pytest.raises(LabError, match="-9"):
                await engine.replace("b", CLEAR)
            answered = await pair.ping(3, wait_s=LOST_S)
            dead = (await engine.counters())["b"].dead
            await engine.remove("b")
            return answered, dead

    answered, dead = asyncio.run(measure())
    assert not answered
    assert dead is not None
    assert "-9" in dead
