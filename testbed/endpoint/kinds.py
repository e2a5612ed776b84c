"""The kinds of workload that an endpoint can carry out, a module for each.

Such a module has

- `PARAMETERS`: what the kind's parameters may be, a `testbed.endpoint.parameters.Parameters`;
- `ONE_OF`, if exactly one of some parameters has to be there: their names;
- `initiate(spec, owner)`: what the endpoint in the source does, from start to end;
- `listen(spec, owner)`: the same for the destination, unless nothing of ours listens there;
- `prepare(spec)`, if something has to be computed or loaded first that takes time: called before either, and before the
  start of the workload. It sends no packet.

Both report by `owner.emit`, see `testbed.endpoint`, and end with an `end`.
"""

from __future__ import annotations

from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, cast

from testbed.endpoint.errors import EndpointError
from testbed.endpoint.parameters import invalid
from testbed.third_party import third_party

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import ModuleType

    from testbed.endpoint.owner import Owner
    from testbed.endpoint.spec import Spec

    Role = Callable[[Spec, Owner], None]

GROUP = "testbed.endpoint"

_MODULES: Mapping[str, str] = MappingProxyType(
    {
        "tcp-stream": "testbed.endpoint.tcp_stream",
        "tcp-rr": "testbed.endpoint.tcp_rr",
        "tcp-messages": "testbed.endpoint.tcp_messages",
        "udp-stream": "testbed.endpoint.udp_stream",
        "udp-rr": "testbed.endpoint.udp_rr",
        "quic": "testbed.endpoint.quic",
        "dns": "testbed.endpoint.dns",
        "ping": "testbed.endpoint.ping",
        "http": "testbed.endpoint.http",
    }
)
"""Where each kind of our own is; imported when it is wanted, for some are large."""

_ROLES = {"initiator": "initiate", "listener": "listen"}


def module_of(kind: str) -> ModuleType:
    """The module that carries out a kind.

    Raises:
        EndpointError: `invalid-spec`: there is no such kind here; `library-missing`.
        MachineError: `broken-plugin`.
    """
    if kind in _MODULES:
        try:
            return import_module(_MODULES[kind])
        except ModuleNotFoundError as error:
            raise EndpointError(
                "library-missing",
                f"{kind} needs the Python package {error.name}, which the agent's Python has not got",
                "install the testbed's requirements again; in the testbed's image make images does",
            ) from error
    others: Mapping[str, ModuleType] = third_party(GROUP, own=_MODULES)
    if kind not in others:
        raise invalid(f"kind is {kind!r}; kinds are {', '.join((*_MODULES, *others))}")
    return others[kind]


def role_of(spec: Spec, module: ModuleType) -> Role:
    """What a kind's module does in a role.

    Raises:
        EndpointError: `invalid-spec`: it has no such role.
    """
    role = getattr(module, _ROLES[spec.role], None)
    if role is None:
        raise invalid(f"{spec.kind} has no {spec.role}")
    return cast("Role", role)
