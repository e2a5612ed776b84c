"""Network namespaces that exist already: where they are, and how they are connected.

A veth interface of one is attached to a network if its other end is a port of a bridge, in whichever namespace, or an
interface of another one of them: a cable between two namespaces.
"""

from __future__ import annotations

import os
import re
from collections import Counter, defaultdict
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.agent import messages, switch
from testbed.agent.netlink import RouteSocket
from testbed.errors import MachineError, UsageError
from testbed.linux import namespaces
from testbed.present import Present, PresentAttachment, PresentContainer, PresentNetwork

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from testbed.agent.switch import NetworkDevice
    from testbed.plan.model import Plan
    from testbed.plan.nodes import Node

_MACHINE = (Path("/proc/self/ns/net"), Path("/proc/1/ns/net"))
_LARGEST_PREFIX = 31


def path_of(name: str) -> Path:
    """Return the path of a network namespace by its name in `ip netns`, the pid of a process in it, or its path.

    Raises:
        UsageError: `unknown-namespace`.
    """
    if name.isdecimal():
        path = Path(f"/proc/{name}/ns/net")
    else:
        path = Path(name) if name.startswith("/") else Path("/run/netns", name)
    if not path.exists():
        message = f"there is no network namespace {name!r}: {path} does not exist"
        raise UsageError("unknown-namespace", message, "name one of ip netns, or give the pid of a process in it")
    return path


def require_root() -> None:
    """Require that network namespaces of others can be entered.

    Raises:
        MachineError: `needs-root`.
    """
    if os.geteuid() != 0:
        message = "only root can enter network namespaces that it did not make"
        raise MachineError("needs-root", message, "use sudo")


def as_present(
    name: str, interfaces: tuple[messages.PresentInterface, ...] = (), *, node: str = ""
) -> messages.PresentNode:
    """Return a network namespace as a node to adopt; see `path_of`."""
    return messages.PresentNode(
        name=node or name,
        container="",
        pid=0,
        limited=False,
        interfaces=interfaces,
        identity=None,
        namespace=str(path_of(name)),
    )


def adoption(plan: Plan) -> messages.Adopt:
    """Return what an agent must know of a plan whose nodes are network namespaces of others.

    Raises:
        UsageError: `unknown-namespace`.
    """
    return messages.Adopt(
        networks=tuple(messages.AdoptedNetwork(name=network.name, open=True) for network in plan.networks),
        nodes=tuple(as_present(node.namespace, _interfaces(node), node=node.name) for node in plan.nodes),
    )


def _interfaces(node: Node) -> tuple[messages.PresentInterface, ...]:
    return tuple(
        messages.PresentInterface(network=each.network, mac=each.mac, address=each.address) for each in node.interfaces
    )


def discover(names: Collection[str]) -> Present:
    """Return network namespaces, as far as they are there, and the networks that they are on.

    Raises:
        MachineError: `needs-root`.
    """
    require_root()
    with ExitStack() as opened:
        found: dict[str, _Namespace] = {}
        for name in names:
            with suppress(UsageError, OSError):
                found[name] = _Namespace.at(path_of(name), opened)
        return _Discovery(found, opened).present()


@dataclass(frozen=True, slots=True)
class _Namespace:
    """A network namespace; `number` is its inode, `label` what names of its networks begin with."""

    number: int
    fd: int
    label: str

    @classmethod
    def at(cls, path: Path, opened: ExitStack) -> _Namespace:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        opened.callback(os.close, fd)
        label = f"pid-{path.parts[2]}" if path.parts[1] == "proc" else path.name
        return cls(os.fstat(fd).st_ino, fd, re.sub(r"[^A-Za-z0-9_.]+", "-", label).strip("-.") or "netns")

    def devices(self) -> list[NetworkDevice]:
        with namespaces.inside(self.fd), RouteSocket() as route:
            return switch.devices(route)

    def addresses(self) -> Mapping[int, list[IPv4Interface]]:
        """The IPv4 addresses that can be of a network, by the index of the interface."""
        found: defaultdict[int, list[IPv4Interface]] = defaultdict(list)
        with namespaces.inside(self.fd), RouteSocket() as route:
            for index, address, length in switch.ipv4_addresses(route):
                if length <= _LARGEST_PREFIX:
                    found[index].append(IPv4Interface(f"{address}/{length}"))
        return found


@dataclass(frozen=True, slots=True)
class _Member:
    """An interface on a network."""

    namespace: str
    device: NetworkDevice
    addresses: list[IPv4Interface]


@dataclass
class _Discovery:
    """The discovery of the networks of namespaces.

    Attributes:
        members: by network, the interfaces that are on it.
        problems: by namespace, why interfaces are on none.
    """

    found: Mapping[str, _Namespace]
    opened: ExitStack
    members: defaultdict[str, list[_Member]] = field(default_factory=lambda: defaultdict(list))
    problems: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    gateways: dict[str, str] = field(default_factory=dict)

    def present(self) -> Present:
        own = set(_inodes(_MACHINE))
        first: dict[int, str] = {}
        for name, namespace in self.found.items():
            if first.setdefault(namespace.number, name) == name and namespace.number not in own:
                self._look(name, namespace)
        subnets = {network: _common([each.addresses for each in members]) for network, members in self.members.items()}
        spaces = {}
        for name, namespace in self.found.items():
            like = first[namespace.number]
            attachments = [
                PresentAttachment(network=network, address=_address(each, subnets[network]), mac=each.device.mac)
                for network, members in self.members.items()
                for each in members
                if each.namespace == like
            ]
            problem = ""
            if namespace.number in own:
                problem = "is the machine's own, so it has no port where its packets could be told from the machine's"
            elif not attachments:
                why = "; ".join(self.problems[like]) or "it has no interface"
                problem = f"is on no network where links can be impaired: {why}"
            spaces[name] = PresentContainer(name=name, attachments=tuple(attachments), namespace=like, problem=problem)
        networks = {name: self._network(name, subnet) for name, subnet in subnets.items()}
        return Present(namespaces=spaces, networks=networks)

    def _look(self, name: str, namespace: _Namespace) -> None:
        """Find the networks of a namespace."""
        addresses = namespace.addresses()
        for device in namespace.devices():
            if device.name == "lo" or device.kind in _NEVER:
                continue
            if not device.peer:
                kind = device.kind or "physical"
                self.problems[name].append(
                    f"{device.name} is a {kind} device, which has no port outside of the namespace"
                )
            elif not addresses.get(device.index):
                self.problems[name].append(f"{device.name} has no IPv4 address in a subnet")
            elif network := self._network_of(name, namespace, device):
                self.members[network].append(_Member(name, device, addresses[device.index]))

    def _network_of(self, name: str, namespace: _Namespace, device: NetworkDevice) -> str | None:
        """The name of the network that an interface is on; None with a problem where it is on none."""
        end = next(self._ends(namespace, device), None)
        if end is None:
            self.problems[name].append(f"the other end of {device.name} is in a namespace that can't be found")
            return None
        other, port = end
        if port.master:
            bridge = next(each for each in other.devices() if each.index == port.master)
            if bridge.kind != "bridge":
                self.problems[name].append(f"the other end of {device.name} is part of {bridge.name}, a {bridge.kind}")
                return None
            is_machines = other.number == _MACHINE[0].stat().st_ino
            network = bridge.name if is_machines else f"{other.label}.{bridge.name}"
            if given := other.addresses().get(bridge.index):
                self.gateways[network] = str(given[0].ip)
            return network
        if other.number in {each.number for each in self.found.values()}:
            ends = sorted([f"{namespace.label}.{device.name}", f"{other.label}.{port.name}"])
            return "-".join(ends)
        said = f"the other end of {device.name}, {port.name} in {other.label}, is neither a bridge's nor a node's"
        self.problems[name].append(said)
        return None

    def _ends(self, namespace: _Namespace, device: NetworkDevice) -> Iterator[tuple[_Namespace, NetworkDevice]]:
        """Where the other end of a veth is."""
        for other in self.found.values():
            if port := switch.other_end(namespace.fd, device, other.fd):
                yield other, port
        seen = {each.number for each in self.found.values()}
        for path in namespaces.known_networks(str(_MACHINE[0])):
            with suppress(OSError):
                if (number := path.stat().st_ino) in seen:
                    continue
                seen.add(number)
                with ExitStack() as tried:
                    other = _Namespace.at(path, tried)
                    if port := switch.other_end(namespace.fd, device, other.fd):
                        self.opened.push(tried.pop_all())
                        yield other, port

    def _network(self, name: str, subnet: IPv4Network) -> PresentNetwork:
        members = self.members[name]
        used = {address.ip for each in members for address in each.addresses}
        return PresentNetwork(
            name=name,
            subnet=str(subnet),
            gateway=self.gateways.get(name, ""),
            mtu=min(each.device.mtu for each in members),
            internal=name not in self.gateways,
            used=frozenset(used),
        )


_NEVER = ("sit", "ipip", "gre", "ip6tnl", "ip6gre", "gretap", "erspan", "ip_vti", "vti6", "ip6_vti")
"""Kinds of the devices that kernel modules add to every new namespace."""


def _inodes(paths: Iterable[Path]) -> Iterator[int]:
    """Yield the inodes of those namespaces that we may look at."""
    for path in paths:
        with suppress(OSError):
            yield path.stat().st_ino


def _common(addresses: Collection[list[IPv4Interface]]) -> IPv4Network:
    """Return the subnet that most interfaces have an address in."""
    counted = Counter(network for each in addresses for network in dict.fromkeys(one.network for one in each))
    ((subnet, _),) = counted.most_common(1)
    return subnet


def _address(member: _Member, subnet: IPv4Network) -> IPv4Address:
    """Return the address of an interface in a subnet, else its first one."""
    return next((each.ip for each in member.addresses if each.network == subnet), member.addresses[0].ip)
