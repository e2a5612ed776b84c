"""What labs change in the machine's own namespace for their way out, and how agent, guardian or `down` undo it."""

from __future__ import annotations

import errno
import fcntl
import os
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.agent import device_requests, exit_rules, nft
from testbed.agent.netlink import RouteSocket
from testbed.linux import namespaces

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

_FORWARD = Path("/proc/sys/net/ipv4/ip_forward")
_CONF = Path("/proc/sys/net/ipv4/conf")
_NO_INTERFACES = ("all", "default", "lo")


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
    """Whether the machine of this namespace forwards packets at all its interfaces; labs never change that."""
    return _FORWARD.read_text("ascii").strip() != "0"


def interfaces_that_do_not_forward() -> list[str]:
    """Return the interfaces of this namespace from which the machine forwards nothing, without those of labs."""
    return sorted(
        path.parent.name
        for path in _CONF.glob("*/forwarding")
        if path.parent.name not in _NO_INTERFACES
        and not path.parent.name.startswith(exit_rules.LAB_INTERFACES)
        and path.read_text("ascii").strip() == "0"
    )


def set_forwarding(interface: str, *, on: bool) -> None:
    """Switch the forwarding of packets that come in by an interface on or off.

    Raises:
        OSError: /proc/sys can't be written, or has no such interface.
    """
    setting("ipv4", interface, "forwarding").write_text("1" if on else "0", "ascii")


def setting(family: str, interface: str, name: str) -> Path:
    """Return the file of a setting of an interface in the present namespace."""
    return Path("/proc/sys/net", family, "conf", interface, name)


def close(table: str, interfaces: Collection[str], firewalls: Collection[str]) -> None:
    """Undo a lab's way out. Call it in the machine's namespace; safe to repeat.

    The interfaces go first, so that nothing passes that the rules do not see.

    Args:
        table: the lab's.
        interfaces: the machine's, of the lab.
        firewalls: the variants of iptables that accept what these exchange.

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
    finally:
        os.close(network)


def take_back(interface: str) -> None:
    """Switch off what a lab has switched on, unless another lab or somebody else needs it. Safe to repeat.

    Call it in the machine's namespace, when the lab's table has gone.

    Raises:
        MachineError: `no-nft`.
        LabError: `filter-refused`.
        OSError: /proc/sys can't be written.
    """
    network = namespaces.current_network()
    try:
        with exclusive(network):
            if not forwards() and interface not in exit_rules.opened(network):
                with suppress(FileNotFoundError):  # the interface has gone
                    set_forwarding(interface, on=False)
    finally:
        os.close(network)
