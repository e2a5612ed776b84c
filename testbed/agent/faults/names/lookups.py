"""What is wrong with names of one node, and how its programs come to see it.

Programs look names up in /etc/hosts, and then ask name servers. So the names are hidden from that file, and questions
for name servers are redirected to a `Responder`, which knows what was hidden. A server that no route leads to gets one
to the node itself, because else programs would send no question at all.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from contextlib import contextmanager, suppress
from ipaddress import ip_address
from typing import TYPE_CHECKING

from testbed.agent import routes
from testbed.agent.faults.names import dns_messages
from testbed.agent.faults.names.hosts_file import HostsFile
from testbed.agent.faults.names.responder import PORT, Responder
from testbed.agent.netlink import RouteSocket
from testbed.errors import LabError
from testbed.faults import ALL_NAMES, NameFails, NameFault, NameLies, NameSlow
from testbed.linux import namespaces

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping

    from testbed.agent.nodes import NodeNamespaces

_CODES = {"nxdomain": dns_messages.NXDOMAIN, "servfail": dns_messages.SERVFAIL}
_LOOPBACK_INDEX = 1


class Lookups:
    """The lookups of a node, from `start` to `close`."""

    def __init__(
        self,
        node: NodeNamespaces,
        hosts: Callable[[int], int],
        resolver: str,
        addresses: Callable[[str], Iterable[str]],
    ) -> None:
        """Change nothing yet.

        Args:
            node: as it is now.
            hosts: opens its /etc/hosts with flags of open(2).
            resolver: the text of its /etc/resolv.conf.
            addresses: returns those of a node.

        Raises:
            LabError: `dns-not-changed`.
        """
        self.number = node.number
        self._node = node
        self._addresses = addresses
        self._servers, self._domains = _resolver(resolver)
        self._faults: Mapping[str, NameFault] = {}
        self._dead_ends: list[str] = []
        with _refused(node.name):
            self._hosts = HostsFile(hosts, node.name)
            self._responder = Responder(node.name, node.network, self._respond)

    async def start(self) -> None:
        """Redirect questions.

        Raises:
            LabError, MachineError: they can't be redirected.
        """
        with _refused(self._node.name):
            for server in self._servers:
                if _is_unreachable(self._node.network, server):
                    self._dead_ends.append(server)
            self._route(there=True)
            await self._responder.start()

    def set(self, faults: Mapping[str, NameFault]) -> None:
        """Replace what is wrong, by name.

        Raises:
            LabError: `dns-not-changed`.
        """
        with _refused(self._node.name):
            self._hosts.hide(faults)
        self._faults = faults

    async def close(self) -> None:
        """Make the node look up names as before.

        Raises:
            LabError: `dns-not-changed`.
        """
        await self._responder.close()
        if self._node.has_ended:  # with its network, and its files are another container's
            return
        with _refused(self._node.name):
            self._route(there=False)
            self._hosts.hide(())

    def _route(self, *, there: bool) -> None:
        """Add or remove routes to the servers that no other leads to."""
        change = routes.on_link if there else routes.not_on_link
        if self._dead_ends:
            with namespaces.inside(self._node.network), RouteSocket() as route:
                route.send([change(server, _LOOPBACK_INDEX) for server in self._dead_ends])

    async def _respond(self, message: bytes, server: str, ask: Callable[[], Awaitable[bytes | None]]) -> bytes | None:
        """Return what is answered to a message for a name server; None for no answer. See `Responder`."""
        question = dns_messages.read(message)
        if question is None:
            return await ask()
        name = self._looked_up(question.name)
        match fault := self._faults.get(name) or self._faults.get(ALL_NAMES):
            case NameFails():
                return dns_messages.answer(question, _CODES[fault.how]) if fault.how in _CODES else None
            case NameLies():
                return dns_messages.answer(question, dns_messages.NOERROR, self._resolved(fault.answers))
            case NameSlow():
                await asyncio.sleep(fault.delay_ns / 1e9)
            case _:
                pass
        if fault and (known := self._hosts.addresses(name)):
            return dns_messages.answer(question, dns_messages.NOERROR, known)
        if server not in self._dead_ends:
            with suppress(OSError):
                return await ask()
        return dns_messages.answer(question, dns_messages.SERVFAIL)

    def _looked_up(self, name: str) -> str:
        """Return the name that a program looks up, from one that may have been completed by a search domain."""
        if name in self._faults:
            return name
        for domain in self._domains:
            if (short := name.removesuffix(f".{domain}")) != name:
                return short
        return name

    def _resolved(self, answers: Iterable[str]) -> Iterator[str]:
        for each in answers:
            try:
                yield str(ip_address(each))
            except ValueError:
                yield from self._addresses(each)


@contextmanager
def _refused(node: str) -> Iterator[None]:
    """Turn a refusal of the kernel into an error that says what could not be changed."""
    try:
        yield
    except OSError as error:
        message = f"the lookups of names of node {node} can't be changed: {error}"
        raise LabError("dns-not-changed", message, "the lab's agent.log may say more") from None


def _resolver(text: str) -> tuple[list[str], list[str]]:
    """Return the addresses of name servers, and the domains that names are completed by, of a resolv.conf(5)."""
    servers, domains = [], []
    for line in text.splitlines():
        match line.split():
            case ["nameserver", address, *_]:
                servers.append(address.partition("%")[0])
            case ["search" | "domain", *listed]:
                domains = [domain.strip(".").lower() for domain in listed]
            case _:
                pass
    return servers, [domain for domain in domains if domain]


def _is_unreachable(network: int, server: str) -> bool:
    """Whether no route leads to a server."""
    family = socket.AF_INET if ip_address(server).version == 4 else socket.AF_INET6  # noqa: PLR2004
    with namespaces.inside(network), socket.socket(family, socket.SOCK_DGRAM) as trial:
        try:
            trial.connect((server, PORT))
        except OSError as error:
            return error.errno in (errno.ENETUNREACH, errno.EHOSTUNREACH)
    return False
