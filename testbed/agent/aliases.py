"""The aliases of a lab's devices, by which they are found again after their agent was killed."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from testbed.agent import device_requests, switch

if TYPE_CHECKING:
    from testbed.agent.netlink import RouteSocket
    from testbed.agent.switch import NetworkDevice

_ALIASES = "testbed "
_PORT = "port of "


def of_lab(lab: str) -> str:
    """Return the beginning of the alias of every device of a lab."""
    return f"{_ALIASES}{lab} "


def of_port(purpose: str) -> str:
    """Return the end of the alias of a device that is the port of a node, not for links."""
    return f"{_PORT}{purpose}"


def carries_links(device: NetworkDevice) -> bool:
    """Whether a lab's agent, of this lab or another, made a device for links, not as the port of a node."""
    _, _, purpose = device.alias.removeprefix(_ALIASES).partition(" ")
    return device.alias.startswith(_ALIASES) and not purpose.startswith(_PORT)


def sweep(route: RouteSocket, lab: str) -> int:
    """Remove the devices that a killed agent left in the machine's namespace, and return their number."""
    left = [device.index for device in switch.devices(route) if device.alias.startswith(of_lab(lab))]
    route.send(device_requests.delete(left), tolerated=[errno.ENODEV])
    return len(left)
