"""What the agents of a lab on several machines tell each other: with which MACs and addresses their nodes send now.

A container on an overlay network of others gets another address, and so another MAC, each time it starts. The ports of
nodes on other machines know it by these. So its agent tells the others before it opens its port, and waits until they
have confirmed. Datagrams cross the network that they are about, from and to the labs' own containers there, the anchors
of the machines (`testbed.runtime.docker.overlays`). They are signed, as other containers are on the network too.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import os
import socket
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from testbed.errors import LabError
from testbed.linux import namespaces

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable, Mapping
    from typing import Any

    from testbed.agent import messages
    from testbed.agent.links import Links
    from testbed.agent.ports import Port
    from testbed.agent.wiring import Wiring

_log = logging.getLogger(__name__)

PORT = 49_217
"""Of UDP, in anchors, where nothing else listens."""

_AGAIN_SECONDS = 0.1
_LATER_SECONDS = 1.0
_PATIENCE_SECONDS = 5.0
_SILENT_SECONDS = 0.5
"""Patience with a machine that did not confirm the last time."""

_DIGEST = "sha256"
_SIGNATURE_BYTES = 32

_Place = tuple[str, str]
"""Names of a node and a network."""


class _News(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a node sends on a network from now on.

    Attributes:
        number: of all news of a node's agent; later ones have higher numbers.
        sender: the agent's machine.
        macs, addresses: the first MAC is that of the node's interface; none where the node is not on the network.
        confirmed_by: the machine whose agent acts on it from now on; empty in the news themselves.
    """

    number: int
    sender: str
    node: str
    network: str
    macs: tuple[str, ...]
    addresses: tuple[str, ...]
    confirmed_by: str = ""


@dataclass(slots=True)
class DistantAgents(asyncio.DatagramProtocol):
    """The agents of a lab on other machines; none until `meet`."""

    wiring: Wiring
    links: Links
    _machine: str = ""
    _key: bytes = b""
    _peers: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    _transport: asyncio.DatagramTransport | None = None
    _heard: dict[_Place, _News] = field(default_factory=dict)
    _told: dict[_Place, tuple[tuple[str, ...], tuple[str, ...]]] = field(default_factory=dict)
    _silent: set[str] = field(default_factory=set)
    _late: dict[tuple[int, str], _News] = field(default_factory=dict)
    """By number and machine, news that were not confirmed in time, and have not been since."""
    _unconfirmed: dict[tuple[int, str], asyncio.Event] = field(default_factory=dict)
    _acting: set[asyncio.Task[None]] = field(default_factory=set)

    async def meet(self, call: messages.Meet) -> None:
        """Begin to hear of the nodes on other machines, and tell of those here.

        Raises:
            LabError: `agents-apart`, another agent does not confirm.
            OSError: there is no such namespace.
        """
        fd = os.open(call.anchor, os.O_RDONLY | os.O_CLOEXEC)
        try:
            with namespaces.inside(fd):
                found = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        finally:
            os.close(fd)
        found.bind(("", PORT))
        await self.meet_by(found, call)

    async def meet_by(self, datagrams: socket.socket, call: messages.Meet) -> None:
        """As `meet`, by a socket of the caller's, which `close` closes."""
        self._machine, self._key, self._peers = call.machine, bytes.fromhex(call.key), call.peers
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, sock=datagrams)
        silent = {each for port in self.wiring.ports.values() for each in await self.tell(port)}
        if silent:
            raise LabError(
                "agents-apart",
                f"the agent on machine {self._machine} and the one on {', '.join(sorted(silent))} do not reach each "
                f"other over {', '.join(call.peers)}: links would not follow containers that restart",
                "see that UDP 4789 and 7946, and TCP 7946, are open between the machines",
            )

    async def tell(self, port: Port, *, has_gone: bool = False) -> Iterable[str]:
        """Tell how a node sends on a network, if it is one of others and that is news.

        Returns:
            The machines whose agents have not confirmed it in time.
        """
        peers = self._peers.get(port.network, {})
        macs = [mac for mac, node in self.wiring.senders[port.network].items() if node == port.node]
        now = ((), ()) if has_gone else (tuple(sorted(macs, key=lambda mac: mac != port.mac)), port.addresses)
        if not peers or self._told.get(port.place) == now:
            return ()
        self._told[port.place] = now
        news = _News(
            number=time.monotonic_ns(),
            sender=self._machine,
            node=port.node,
            network=port.network,
            macs=now[0],
            addresses=now[1],
        )
        done = await asyncio.gather(*(self._deliver(news, machine, at) for machine, at in peers.items()))
        return [machine for machine, confirmed in zip(peers, done, strict=True) if not confirmed]

    def problems(self) -> list[str]:
        """Return what other machines do not know of the nodes here, in sentences."""
        return [
            f"the agent on machine {machine} does not know the MAC of node {news.node} on network {news.network}: "
            f"there, packets of {news.node} may pass without impairments"
            for (_, machine), news in self._late.items()
            if news.macs
        ]

    async def _deliver(self, news: _News, machine: str, address: str) -> bool:
        """Send news until a machine confirms them; return False if it does not in time, and go on until it does."""
        confirmed = self._unconfirmed[news.number, machine] = asyncio.Event()
        patience = _SILENT_SECONDS if machine in self._silent else _PATIENCE_SECONDS
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            if await self._confirmed(news, address, confirmed, _AGAIN_SECONDS):
                self._silent.discard(machine)
                del self._unconfirmed[news.number, machine]
                return True
        self._silent.add(machine)
        self._keep(self._persist(news, machine, address, confirmed))
        return False

    async def _persist(self, news: _News, machine: str, address: str, confirmed: asyncio.Event) -> None:
        """Send news until a machine confirms them, or there are later ones of the node."""
        place = news.node, news.network
        self._late[news.number, machine] = news
        while self._told[place] == (news.macs, news.addresses):
            if await self._confirmed(news, address, confirmed, _LATER_SECONDS):
                self._silent.discard(machine)
                _log.info("machine %s knows now how node %s sends on %s", machine, *place)
                break
        del self._unconfirmed[news.number, machine], self._late[news.number, machine]

    async def _confirmed(self, news: _News, address: str, confirmed: asyncio.Event, seconds: float) -> bool:
        self._send(news, (address, PORT))
        with suppress(TimeoutError):
            await asyncio.wait_for(confirmed.wait(), seconds)
        return confirmed.is_set()

    def _send(self, news: _News, to: tuple[str, int]) -> None:
        if self._transport:
            data = msgspec.json.encode(news)
            self._transport.sendto(hmac.digest(self._key, data, _DIGEST) + data, to)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Act on what another agent says; ignore what others send."""
        signature, text = data[:_SIGNATURE_BYTES], data[_SIGNATURE_BYTES:]
        if not hmac.compare_digest(signature, hmac.digest(self._key, text, _DIGEST)):
            return
        news = msgspec.json.decode(text, type=_News)
        if news.confirmed_by:
            if waiting := self._unconfirmed.get((news.number, news.confirmed_by)):
                waiting.set()
            return
        self._keep(self._act(news, addr))

    def _keep(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._acting.add(task)
        task.add_done_callback(self._acting.discard)

    def error_received(self, exc: Exception) -> None:
        """Take no notice: what was not delivered is sent again."""
        _log.debug("another agent could not be told: %s", exc)

    async def _act(self, news: _News, sender: tuple[str, int]) -> None:
        """Adapt the ports here to news, and confirm them; older ones and those acted on already are only confirmed."""
        place = news.node, news.network
        if place not in self.wiring.distant:
            return
        known = self._heard.get(place)
        if known is None or known.number < news.number:
            try:
                self.wiring.move_distant(news.node, news.network, news.macs, news.addresses)
                await self.links.follow_distant(news.network)
            except (LabError, OSError):
                _log.exception("node %s on machine %s", news.node, news.sender)
                return  # it is not confirmed, and comes again
            self._heard[place] = news
            _log.info("node %s on machine %s sends as %s on %s", news.node, news.sender, news.macs, news.network)
        self._send(msgspec.structs.replace(news, confirmed_by=self._machine), sender)

    def close(self) -> None:
        """Hear and tell no more."""
        for task in self._acting:
            task.cancel()
        if self._transport:
            self._transport.close()
            self._transport = None
