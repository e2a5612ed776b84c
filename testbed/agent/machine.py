"""What labs change in the machine's own namespace for their way out, and how agent, guardian or `down` undo it."""

from __future__ import annotations

import errno
import fcntl
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.agent import device_requests, exit_rules, nft
from testbed.agent.netlink import RouteSocket
from testbed.linux import namespaces

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

_FORWARD = Path("/proc/sys/net/ipv4/ip_forward")


@contextmanager
def exclusive(network: int) -> Iterator[None]:
    """Keep other labs from changing the machine's namespace meanwhile; the kernel frees the lock if its holder dies."""
    lock = os.open(f"/proc/self/fd/{network}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def forwards() -> bool:
    """Whether the machine whose namespace this is forwards packets."""
    return _FORWARD.read_text("ascii").strip() != "0"


def set_forwarding(*, on: bool) -> None:
    """Switch the machine's forwarding of packets on or off.

    Raises:
        OSError: /proc/sys can't be written.
    """
    _FORWARD.write_text("1" if on else "0", "ascii")


def setting(family: str, interface: str, name: str) -> Path:
    """Return the file of a setting of an interface in the present namespace."""
    return Path("/proc/sys/net", family, "conf", interface, name)


def close(table: str, interfaces: Collection[str], firewalls: Collection[str], *, forwards: bool) -> None:
    """Undo a lab's way out. Call it in the machine's namespace; safe to repeat.

    The interfaces go first, so that nothing passes that the rules do not see.

    Args:
        table: the lab's.
        interfaces: the machine's, of the lab.
        firewalls: the variants of iptables that accept what these exchange.
        forwards: the machine forwards for labs only, and no more than the last of them needs.

    Raises:
        LabError: `filter-refused`.
        OSError: the kernel's refusal.
    """
    network = namespaces.current_network()
    try:
        with exclusive(network):
            with RouteSocket() as route:
                route.send(device_requests.delete_named(interfaces), tolerated=[errno.ENODEV])
            for firewall in firewalls:
                for interface in interfaces:
                    exit_rules.forget(firewall, interface)
            nft.load(network, [f"add table ip {table}", f"delete table ip {table}"], "a network led out of the lab", "")
            if forwards and not exit_rules.keeps_others(network):
                set_forwarding(on=False)
    finally:
        os.close(network)
