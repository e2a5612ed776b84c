"""The endpoint's command line: one spec, see `testbed.endpoint`."""

from __future__ import annotations

import sys
from types import MappingProxyType
from typing import TYPE_CHECKING

from testbed.endpoint import ping, tcp_rr, tcp_stream, udp_rr, udp_stream
from testbed.endpoint.errors import EndpointError, from_os_error
from testbed.endpoint.owner import Owner
from testbed.endpoint.spec import Spec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Role = Callable[[Spec, Owner], None]

ROLES: Mapping[tuple[str, str], Role] = MappingProxyType(
    {
        ("tcp-stream", "initiator"): tcp_stream.initiate,
        ("tcp-stream", "listener"): tcp_stream.listen,
        ("tcp-rr", "initiator"): tcp_rr.initiate,
        ("tcp-rr", "listener"): tcp_rr.listen,
        ("udp-stream", "initiator"): udp_stream.initiate,
        ("udp-stream", "listener"): udp_stream.listen,
        ("udp-rr", "initiator"): udp_rr.initiate,
        ("udp-rr", "listener"): udp_rr.listen,
        ("ping", "initiator"): ping.initiate,
    }
)
"""What each role of each kind does. Nothing listens for ping but the kernel."""


def main(arguments: Sequence[str]) -> int:
    """Do what the one argument says; the exit status."""
    owner = Owner()
    try:
        _perform(arguments, owner)
    except EndpointError as error:
        owner.emit("error", code=error.code, message=error.message, hint=error.hint)
        return 1
    return 0


def _perform(arguments: Sequence[str], owner: Owner) -> None:
    if len(arguments) != 1:
        raise EndpointError("invalid-spec", f"expected one argument, the spec; found {len(arguments)}")
    spec = Spec.from_json(arguments[0])
    role = ROLES.get((spec.kind, spec.role))
    if role is None:
        raise EndpointError("invalid-spec", f"{spec.kind} has no {spec.role}")
    owner.watch()
    try:
        role(spec, owner)
    except OSError as error:
        raise from_os_error(error, f"{spec.kind} {spec.role}, {spec.address}:{spec.port}") from error


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
