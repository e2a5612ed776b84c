"""A network namespace whose addresses, routes and devices pyroute2 changes."""

from __future__ import annotations

from typing import Self

from pyroute2 import AsyncIPRoute

from testbed.linux import namespaces


class NetworkNamespace:
    """A network namespace and a netlink socket in it."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        with namespaces.inside(fd):
            self.ip = AsyncIPRoute()
            self.ip.socket  # noqa: B018  # opens the socket now, while we are inside

    async def __aenter__(self) -> Self:
        await self.ip.setup_endpoint()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.ip.close()
