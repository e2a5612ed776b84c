"""How far other machines are from this one, and how large packets to them may be."""

from __future__ import annotations

import asyncio
import socket
import time
from typing import TYPE_CHECKING

from testbed.agent import routes, switch
from testbed.agent.messages import Distance
from testbed.linux import namespaces

if TYPE_CHECKING:
    from testbed.agent.messages import Distances
    from testbed.agent.ports import Side

_ANSWER_SECONDS = 2


async def measure(side: Side, call: Distances) -> dict[str, Distance]:
    """Return the distances of machines from the one whose namespace a side is; those without a route are left out."""
    found = {}
    for address in call.addresses:
        if index := routes.leaves_by(side.route, address):
            (device,) = switch.devices(side.route, index)
            fastest_ns = await _fastest_ns(side, address, call.port, call.times) if call.times else None
            found[address] = Distance(device=device.name, mtu=device.mtu, round_trip_ns=fastest_ns)
    return found


async def _fastest_ns(side: Side, address: str, port: int, times: int) -> int | None:
    """Return the fastest of some round trips; None if there is no answer."""
    found: list[int] = []
    for _ in range(times):
        with namespaces.inside(side.fd):
            channel = socket.socket(socket.AF_INET)  # which stays in that namespace
        took_ns = await asyncio.to_thread(_round_trip_ns, channel, address, port)
        if took_ns is None:
            break
        found.append(took_ns)
    return min(found, default=None)


def _round_trip_ns(channel: socket.socket, address: str, port: int) -> int | None:
    """Return how long a TCP connection takes to be made, or refused, which is as good; None without an answer."""
    with channel:
        channel.settimeout(_ANSWER_SECONDS)
        begun_ns = time.monotonic_ns()
        try:
            channel.connect((address, port))
        except ConnectionRefusedError:
            pass
        except OSError:
            return None
        return time.monotonic_ns() - begun_ns
