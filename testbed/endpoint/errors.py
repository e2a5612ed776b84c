"""The errors of an endpoint."""

from __future__ import annotations

import errno

from testbed.errors import LabError


class EndpointError(LabError):
    """The endpoint could not carry out its spec; it reports this error in its last line."""


class Stopped(EndpointError):  # noqa: N818 (named after what happened, as KeyboardInterrupt)
    """The owner wants the endpoint to end before its work is done."""

    def __init__(self) -> None:
        super().__init__("stopped", "told to stop before the work was done")


_CODES = {
    errno.EACCES: ("permission-denied", "an endpoint needs CAP_NET_RAW over its network namespace to ping"),
    errno.EPERM: ("permission-denied", "an endpoint needs CAP_NET_RAW over its network namespace to ping"),
    errno.EADDRINUSE: (
        "port-in-use",
        "something in the node listens there: stop it, or give the workload another port",
    ),
    errno.EADDRNOTAVAIL: ("address-unavailable", "the node lacks the address, or all its ports are in use"),
    errno.ECONNREFUSED: ("connection-refused", "nothing listens there: did the server end?"),
    errno.ECONNRESET: ("connection-reset", "the other end went away: its own error says why"),
    errno.EPIPE: ("connection-reset", "the other end went away: its own error says why"),
    errno.ETIMEDOUT: ("connection-timeout", "the path passed no packets for too long: is it partitioned?"),
    errno.EHOSTUNREACH: ("unreachable", "the destination's link-layer address is not found: is the path partitioned?"),
    errno.ENETUNREACH: ("unreachable", "the node has no route to the destination: they share no network"),
    errno.EMSGSIZE: ("message-too-long", "make `size` smaller: a datagram holds at most 65507 bytes"),
}


def from_os_error(error: OSError, doing: str) -> EndpointError:
    """Return the endpoint error for an error of the kernel; `doing` names what failed."""
    code, hint = _CODES.get(error.errno or 0, ("os-error", None))
    return EndpointError(code, f"{doing}: {error.strerror or error}", hint)
