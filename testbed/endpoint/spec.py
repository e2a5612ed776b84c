"""The spec of an endpoint, which it receives as one JSON object.

An endpoint reads it without msgspec, whose import takes 7 ms, a sixth of the start.
"""

import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from testbed.endpoint.errors import EndpointError


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """The work of one endpoint.

    Attributes:
        kind: the kind of the workload.
        role: `client`, in the workload's source, or `server`, in its destination.
        address: the address of the destination, which decides the family of IP.
        port: the TCP or UDP port of the server.
        seed: the seed of the workload, which decides the bytes that are sent.
        round_trip_ns: the longest round trip of the path, from which waiting times follow: `testbed.endpoint.patience`.
        parameters: the parameters of the kind, see its module.
    """

    kind: str
    role: str
    address: str
    port: int
    seed: int
    round_trip_ns: int
    parameters: Mapping[str, Any]

    def __post_init__(self) -> None:
        if self.role not in ("client", "server"):
            raise ValueError(f"role is {self.role!r}; roles are client, server")
        if not 0 <= self.port < 1 << 16 or not 0 <= self.seed < 1 << 64:
            raise ValueError(f"port {self.port} or seed {self.seed} is out of range")
        if self.round_trip_ns < 0:
            raise ValueError(f"round_trip_ns is {self.round_trip_ns}; no round trip is shorter than 0")
        try:
            socket.inet_pton(self.family, self.address)
        except OSError:
            raise ValueError(f"address is {self.address!r}, which is no address") from None

    @property
    def family(self) -> socket.AddressFamily:
        """The address family of the destination, for sockets."""
        return family_of(self.address)

    @property
    def destination(self) -> tuple[str, int] | tuple[str, int, int, int]:
        """The destination's address and port as `recvfrom` gives the sender of an answer; with IPv6, also two zeros."""
        address = socket.inet_ntop(self.family, socket.inet_pton(self.family, self.address))
        return (address, self.port, 0, 0) if self.family == socket.AF_INET6 else (address, self.port)

    @property
    def authority(self) -> str:
        """The destination's address and port as URIs have them (RFC 3986, 3.2): `198.18.7.2:80`, `[2001:2::2]:80`."""
        return f"[{self.address}]:{self.port}" if self.family == socket.AF_INET6 else f"{self.address}:{self.port}"

    def to_json(self) -> str:
        """Return the JSON object that `from_json` reads."""
        return json.dumps({name: getattr(self, name) for name in _FORMS} | {"parameters": dict(self.parameters)})

    @classmethod
    def from_json(cls, text: str) -> "Spec":
        """Read a spec and check everything that does not depend on its kind.

        Raises:
            EndpointError: `invalid-spec`, with the value found and the allowed values.
        """
        try:
            data = json.loads(text)
        except ValueError as error:
            raise invalid(f"{text!r} is not JSON: {error}") from error
        if not isinstance(data, dict) or data.keys() != _FORMS.keys():
            raise invalid(f"expected an object with {', '.join(_FORMS)}; found {text}")
        for name, form in _FORMS.items():
            if not isinstance(data[name], form) or isinstance(data[name], bool):
                raise invalid(f"{name} is {data[name]!r}; it has to be of type {form.__name__}")
        try:
            return cls(**data)
        except ValueError as error:
            raise invalid(str(error)) from error


def family_of(address: str) -> socket.AddressFamily:
    """Return the address family of an address, for sockets. It does without `ipaddress`, which takes 3 ms to import."""
    return socket.AF_INET6 if ":" in address else socket.AF_INET


_FORMS: Mapping[str, Any] = {name: getattr(form, "__origin__", form) for name, form in Spec.__annotations__.items()}
"""The classes of the fields' values."""


def invalid(message: str) -> EndpointError:
    """Return the error of an invalid spec."""
    return EndpointError("invalid-spec", message)
