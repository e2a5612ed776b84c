"""Samples of links' counters as a client gets them, from counters that grow as a test says."""

import asyncio
import socket
import threading
import time

from testbed.agent import client_connection, link_sampling
from testbed.agent.connection import ServerConnection
from testbed.agent.messages import LinkSamples, SampleLinks, Tell
from testbed.engines.counters import Counters
from testbed.errors import LabError

MS = 1_000_000


class Links:
    """Links whose counters are those of `now`, and what was asked of them."""

    def __init__(self, names, fails=()):
        self.now = {name: Counters(packets_in=0, packets_out=0) for name in names}
        self.asked: list[tuple[str, ...]] = []
        self.fails = set(fails)

    def names(self):
        return list(self.now)

    async def count(self, names):
        self.asked.append(tuple(names))
        if self.fails & {*names}:
            raise LabError("impairments-missing", "its device is gone")
        return {name: self.now[name] for name in names}


def sampled(links, meanwhile, interval_ns=2 * MS):
    """What a client hears while `meanwhile` does things to the links, and until it ends the call; by link."""
    call = SampleLinks(interval_ns=interval_ns)
    heard: dict[str, list[dict[str, int]]] = {}

    def listen(connection):
        for one in connection.events(call, LinkSamples):
            rows = zip(*one.columns.values(), strict=True)
            heard.setdefault(one.link, []).extend(dict(zip(one.columns, row, strict=True)) for row in rows)

    async def main():
        ours, theirs = socket.socketpair()
        agent, client = ServerConnection(ours), client_connection.ClientConnection(theirs)

        def act():
            meanwhile()
            client.tell(Tell())

        try:

            async def record():
                await link_sampling.record(agent, call, links.names, links.count)
                await agent.send_result(None)

            acting = threading.Thread(target=act)
            acting.start()
            await asyncio.gather(record(), asyncio.to_thread(listen, client))
            acting.join()
        finally:
            agent.close()
            client.close()

    asyncio.run(main())
    return heard


def until(condition):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def looks(links, name):
    return sum(name in names for names in links.asked)


def wait_for_look(links, name, times=2):
    seen = looks(links, name)
    until(lambda: looks(links, name) >= seen + times)


def test_a_link_has_samples_when_its_counters_change_and_the_last_before_a_change():
    links = Links(["a -> b", "b -> a"])

    def traffic():
        wait_for_look(links, "a -> b", times=5)
        links.now["a -> b"] = Counters(packets_in=7, packets_out=5, queued=2, queued_bytes=3000)
        wait_for_look(links, "a -> b", times=5)
        links.now["a -> b"] = Counters(packets_in=7, packets_out=7, queued=0, queued_bytes=0)
        wait_for_look(links, "a -> b", times=5)

    heard = sampled(links, traffic)
    assert list(heard) == ["a -> b"]
    rows = heard["a -> b"]
    assert [row["packets_out"] for row in rows] == [5, 7, 7]  # as long as it stood still, and to the end
    assert [row["queued_bytes"] for row in rows] == [3000, 0, 0]
    times = [row["at_ns"] for row in rows]
    assert times == sorted(times)
    assert times[2] - times[1] > 2 * MS


def test_a_change_is_sent_with_the_reading_before_it_so_that_its_growth_has_a_time():
    links = Links(["a -> b"])

    def traffic():
        wait_for_look(links, "a -> b", times=20)
        links.now["a -> b"] = Counters(packets_in=7, packets_out=5)
        wait_for_look(links, "a -> b")

    rows = sampled(links, traffic)["a -> b"]
    assert [row["packets_in"] for row in rows[:2]] == [0, 7]
    assert rows[1]["at_ns"] - rows[0]["at_ns"] > 0


def test_every_change_of_a_busy_link_arrives_however_many_there_are():
    links = Links(["a -> b"])
    steps = 100

    def traffic():
        for number in range(1, steps + 1):
            links.now["a -> b"] = Counters(packets_in=number, packets_out=number)
            wait_for_look(links, "a -> b", times=1)

    rows = sampled(links, traffic, interval_ns=MS // 10)["a -> b"]
    values = [row["packets_out"] for row in rows]
    assert values == sorted(values)
    assert values[-1] == steps
    assert len({*values}) > steps // 2  # a look may have come between two steps


def test_of_a_thousand_links_few_are_read_at_once_and_idle_ones_in_turn():
    names = [f"n{number} -> hub" for number in range(1000)]
    links = Links(names)

    def traffic():
        for number in range(200):
            links.now["n7 -> hub"] = Counters(packets_in=number, packets_out=number)
            wait_for_look(links, "n7 -> hub", times=1)
        until(lambda: all(looks(links, name) for name in (names[0], names[-1])))

    heard = sampled(links, traffic)
    assert list(heard) == ["n7 -> hub"]
    assert max(map(len, links.asked)) <= 16
    asked = [name for part in links.asked for name in part]
    assert asked.count("n7 -> hub") > 3 * asked.count("n8 -> hub")


def test_a_link_that_can_t_be_counted_for_a_while_does_no_harm():
    links = Links(["a -> b"], fails=["a -> b"])

    def traffic():
        wait_for_look(links, "a -> b", times=3)
        links.fails.clear()
        wait_for_look(links, "a -> b", times=3)
        links.now["a -> b"] = Counters(packets_in=1, packets_out=1)
        wait_for_look(links, "a -> b", times=3)

    assert [row["packets_in"] for row in sampled(links, traffic)["a -> b"]] == [0, 1, 1]


def test_a_dead_link_keeps_the_samples_that_it_had():
    links = Links(["a -> b"])

    def traffic():
        wait_for_look(links, "a -> b")
        links.now["a -> b"] = Counters(packets_in=3, packets_out=2)
        wait_for_look(links, "a -> b", times=3)
        links.now["a -> b"] = Counters(dead="its worker was killed")
        wait_for_look(links, "a -> b", times=3)

    assert [row["packets_in"] for row in sampled(links, traffic)["a -> b"]] == [0, 3, 3]
