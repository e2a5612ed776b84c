"""Traffic of the topology file: one model per kind.

Beyond the keys that all kinds share, a field is a parameter of the kind, under the name that the plan has for it.
"""

from collections.abc import Mapping
from functools import reduce
from operator import or_
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Discriminator, Field, Tag

from testbed.third_party import third_party
from testbed.topology.base import Model, Recorded, key
from testbed.topology.workloads.base import Ends, Parameter, Place, Work, Workload
from testbed.topology.workloads.dns import Dns
from testbed.topology.workloads.http import Http
from testbed.topology.workloads.ping import Ping
from testbed.topology.workloads.programs import Command, Iperf3
from testbed.topology.workloads.quic import Quic
from testbed.topology.workloads.tcp import TcpMessages, TcpRr, TcpStream
from testbed.topology.workloads.udp import UdpRr, UdpStream

__all__ = [
    "GROUP",
    "KINDS",
    "OWN",
    "AnyWorkload",
    "Ends",
    "Entry",
    "Parameter",
    "Place",
    "Together",
    "Work",
    "Workload",
]

GROUP = "testbed.topology"

OWN: Mapping[str, type[Workload | Work]] = MappingProxyType(
    {
        "tcp-stream": TcpStream,
        "tcp-rr": TcpRr,
        "tcp-messages": TcpMessages,
        "udp-stream": UdpStream,
        "udp-rr": UdpRr,
        "dns": Dns,
        "ping": Ping,
        "http": Http,
        "quic": Quic,
        "iperf3": Iperf3,
        "command": Command,
    }
)
"""The testbed's own kinds."""

KINDS: Mapping[str, type[Workload | Work]] = MappingProxyType({**OWN, **third_party(GROUP, own=OWN)})
"""Every kind by its name in the file, those of third parties too."""


def _kind_tag(value: object) -> str | None:
    """Which model a workload is for; in brackets, so that no key of a file looks like it."""
    kind = value.get("kind") if isinstance(value, dict) else None
    return f"<{kind}>" if isinstance(kind, str) else None


if TYPE_CHECKING:
    AnyWorkload = Workload | Work
else:
    _TAGGED: list[Any] = [Annotated[model, Tag(f"<{kind}>")] for kind, model in KINDS.items()]
    AnyWorkload = Annotated[reduce(or_, _TAGGED), Discriminator(_kind_tag), Recorded()]


class Together(Model):
    """Workloads that run at the same time."""

    together: Annotated[tuple[AnyWorkload, ...], Field(min_length=1)] = key("Workloads that run at the same time")


def _entry_tag(value: object) -> str:
    return "<together>" if isinstance(value, dict) and "together" in value else "<one>"


Entry = Annotated[
    Annotated[AnyWorkload, Tag("<one>")] | Annotated[Together, Tag("<together>")], Discriminator(_entry_tag)
]
"""An entry of `workloads`."""
