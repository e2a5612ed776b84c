"""Agents on several machines tell each other of nodes that move; here over the loopback, by real datagrams."""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import asynccontextmanager
from dataclasses import replace

import msgspec
import pytest

from testbed.agent import distant
from testbed.agent.distant import DistantAgents
from testbed.agent.link_devices import LinkDevices
from testbed.agent.links import Links
from testbed.agent.messages import Meet
from testbed.agent.netlink import RouteSocket
from testbed.agent.ports import Port
from testbed.agent.wiring import Wiring
from testbed.errors import LabError
from testbed.linux import namespaces

NETWORK = "shop"
OWN = f"127.{os.getpid() >> 8 & 255}.{os.getpid() & 255}"
"""Where no other process has addresses, which may run these tests too."""
MACHINES = {"east": f"{OWN}.2", "west": f"{OWN}.3"}
NODES = {"east": "web", "west": "db"}
KEY = "00" * 32


def mac(number):
    return f"02:42:0a:00:00:{number:02x}"


class OneMachine:
    """An agent on a machine, with a node there and one on the other machine."""

    def __init__(self, name, route):
        self.name = name
        switch = namespaces.current_network()
        self.wiring = Wiring(switch, route)
        self.wiring.open_networks.add(NETWORK)
        for number, (machine, node) in enumerate(NODES.items(), 2):
            if machine != name:
                self.wiring.add_distant(node, NETWORK, mac(number), (f"10.0.0.{number}",))
            else:
                self.port = Port(
                    node=node,
                    network=NETWORK,
                    side=self.wiring.main,
                    index=number,
                    bridge=1,
                    mac=mac(number),
                    interface="eth0",
                    mtu=1450,
                    address=f"10.0.0.{number}",
                )
                self.wiring.add(self.port)
        self.agent = DistantAgents(self.wiring, Links(self.wiring, LinkDevices("x", switch, route, switch), {}, {}))

    async def meet(self):
        datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        datagrams.bind((MACHINES[self.name], distant.PORT))
        peers = {NETWORK: {name: address for name, address in MACHINES.items() if name != self.name}}
        await self.agent.meet_by(datagrams, Meet(machine=self.name, anchor="", key=KEY, peers=peers))

    async def move(self, number):
        """Give the node another address and MAC, and tell the other machine."""
        self.wiring.add(replace(self.port, mac=mac(number), address=f"10.0.0.{number}"))
        return [*await self.agent.tell(self.wiring.ports[self.port.place])]

    @property
    def senders(self):
        return dict(self.wiring.senders[NETWORK])

    async def close(self):
        self.agent.close()
        await asyncio.sleep(0)  # the event loop closes what it has been given
        os.close(self.wiring.switch)


@asynccontextmanager
async def two():
    with RouteSocket() as route:
        machines = [OneMachine(name, route) for name in MACHINES]
        try:
            await asyncio.gather(*(each.meet() for each in machines))
            yield machines
        finally:
            for each in machines:
                await each.close()


def test_a_node_that_moves_is_known_on_the_other_machine_by_what_it_sends_with_now():
    async def main():
        async with two() as (east, west):
            assert await east.move(9) == []
            assert west.senders == {mac(9): "web", mac(3): "db"}
            assert west.wiring.addresses("web", NETWORK) == ("10.0.0.9",)
            assert [*await east.agent.tell(east.port, has_gone=True)] == []
            assert west.senders == {mac(3): "db"}
            assert await east.move(10) == []
            assert west.senders == {mac(10): "web", mac(3): "db"}

    asyncio.run(main())


def test_what_others_send_and_what_is_old_changes_nothing():
    async def main():
        async with two() as (east, west):
            to_west = MACHINES["west"], distant.PORT
            assert await east.move(9) == []
            old = west.agent._heard["web", NETWORK]
            assert await east.move(10) == []
            forged = msgspec.structs.replace(old, number=old.number * 2)
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
                for data in (b"", b"x" * 40, b"\0" * 32 + msgspec.json.encode(forged)):
                    other.sendto(data, to_west)
            east.agent._send(old, to_west)
            assert await east.move(11) == []  # what was sent before has arrived by now
            assert west.senders == {mac(11): "web", mac(3): "db"}
            assert await east.move(10) == []
            assert west.senders == {mac(10): "web", mac(3): "db"}

    asyncio.run(main())


def test_a_machine_that_does_not_confirm_is_named(monkeypatch):
    def have_patience(seconds):
        monkeypatch.setattr(distant, "_PATIENCE_SECONDS", seconds)

    async def main():
        async with two() as (east, west):
            west.agent.close()
            have_patience(0.3)
            assert await east.move(9) == ["west"]
            have_patience(60)
            await asyncio.sleep(0)
            assert "the agent on machine west does not know the MAC of node web" in east.agent.problems()[0]
            await west.meet()
            while west.senders != {mac(9): "web", mac(3): "db"}:  # noqa: ASYNC110  # east sends the news again every second
                await asyncio.sleep(0.01)
            while east.agent.problems():  # noqa: ASYNC110  # until the confirmation is back
                await asyncio.sleep(0.01)
        with RouteSocket() as route:
            alone = OneMachine("east", route)
            have_patience(0.3)
            with pytest.raises(LabError, match=r"agents-apart.*machine east and the one on west do not reach"):
                await alone.meet()
            await alone.close()

    asyncio.run(main())
