"""What an endpoint is asked to do: one JSON object."""

from __future__ import annotations

import json
import socket
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from testbed.endpoint.errors import EndpointError

if TYPE_CHECKING:
    from collections.abc import Mapping

HEADER_BYTES = 12
"""The least size of a datagram: the workload's seed (8 bytes) and the sequence number (4), so that strangers show."""

_FIELDS = {"kind": str, "role": str, "address": str, "port": int, "seed": int, "parameters": dict}


@dataclass(frozen=True, slots=True)
class _Integer:
    least: int = 1
    most: int = (1 << 63) - 1
    required: bool = True

    def problem(self, value: object) -> str | None:
        if isinstance(value, int) and not isinstance(value, bool) and self.least <= value <= self.most:
            return None
        return f"an integer from {self.least} to {self.most}"


@dataclass(frozen=True, slots=True)
class _Text:
    choices: tuple[str, ...] = ()
    required: bool = True

    def problem(self, value: object) -> str | None:
        if isinstance(value, str) and value and (not self.choices or value in self.choices):
            return None
        return f"one of {', '.join(self.choices)}" if self.choices else "a name"


_DATAGRAM = _Integer(HEADER_BYTES, 65507)
_CONGESTION = _Text(required=False)
_COUNT = _Integer(most=(1 << 32) - 1)

PARAMETERS: Mapping[str, Mapping[str, _Integer | _Text]] = MappingProxyType(
    {
        "tcp-stream": {
            "duration_ns": _Integer(required=False),
            "size_bytes": _Integer(required=False),
            "congestion": _CONGESTION,
        },
        "tcp-rr": {
            "count": _COUNT,
            "size_bytes": _Integer(),
            "reply_bytes": _Integer(),
            "connect": _Text(("once", "each")),
            "congestion": _CONGESTION,
        },
        "udp-stream": {"rate_bps": _Integer(), "size_bytes": _DATAGRAM, "duration_ns": _Integer()},
        "udp-rr": {"count": _COUNT, "size_bytes": _DATAGRAM, "reply_bytes": _DATAGRAM, "timeout_ns": _Integer()},
        "ping": {"count": _COUNT, "interval_ns": _Integer(), "size_bytes": _Integer(0, 65507)},
    }
)
"""The parameters of each kind, as in the plan."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """What one endpoint is to do.

    Attributes:
        kind: of the workload.
        role: `initiator`, in the workload's source, or `listener`, in its destination.
        address: of the destination, IPv4.
        port: of the listener, TCP or UDP.
        seed: of the workload; decides the bytes that are sent.
        parameters: of the kind, see `PARAMETERS`.
    """

    kind: str
    role: str
    address: str
    port: int
    seed: int
    parameters: Mapping[str, Any]

    @classmethod
    def from_json(cls, text: str) -> Spec:
        """Read and check a spec.

        Raises:
            EndpointError: `invalid-spec`, with what was found and what is allowed.
        """
        try:
            data = json.loads(text)
        except ValueError as error:
            raise _invalid(f"{text!r} is not JSON: {error}") from error
        if not isinstance(data, dict) or data.keys() != _FIELDS.keys():
            raise _invalid(f"expected an object with {', '.join(_FIELDS)}; found {text}")
        for name, form in _FIELDS.items():
            if not isinstance(data[name], form) or isinstance(data[name], bool):
                raise _invalid(f"{name} is {data[name]!r}; it has to be of type {form.__name__}")
        spec = cls(**data)
        spec._check()
        return spec

    def _check(self) -> None:
        if self.kind not in PARAMETERS:
            raise _invalid(f"kind is {self.kind!r}; kinds are {', '.join(PARAMETERS)}")
        if self.role not in ("initiator", "listener"):
            raise _invalid(f"role is {self.role!r}; roles are initiator, listener")
        if not 0 <= self.port < 1 << 16 or not 0 <= self.seed < 1 << 64:
            raise _invalid(f"port {self.port} or seed {self.seed} is out of range")
        try:
            socket.inet_pton(socket.AF_INET, self.address)
        except OSError as error:
            raise _invalid(f"address is {self.address!r}, which is no IPv4 address") from error
        self._check_parameters(PARAMETERS[self.kind])

    def _check_parameters(self, allowed: Mapping[str, _Integer | _Text]) -> None:
        for name in self.parameters:
            if name not in allowed:
                raise _invalid(f"{self.kind} has no parameter {name!r}; it has {', '.join(allowed)}")
        for name, form in allowed.items():
            if name not in self.parameters:
                if form.required:
                    raise _invalid(f"{self.kind} needs {name}, {form.problem(None)}")
            elif problem := form.problem(self.parameters[name]):
                raise _invalid(f"{name} is {self.parameters[name]!r}; it has to be {problem}")
        if self.kind == "tcp-stream" and len(self.parameters.keys() & {"duration_ns", "size_bytes"}) != 1:
            raise _invalid(f"tcp-stream needs one of duration_ns and size_bytes; found {dict(self.parameters)}")


def _invalid(message: str) -> EndpointError:
    return EndpointError("invalid-spec", message)
