"""What the agent and its clients say to each other: JSON lines over a stream.

A client connects and makes one call at a time:

    -> {"call": "impairments", "with": {...}}
    <- {"event": {...}}                      any number, while the call lasts
    <- {"result": ...}  or  {"error": {"kind", "code", "message", "hint"}}

While a `spawn`, `endpoint` or `capture` call lasts, the client may send `{"tell": {"eof": true}}`, which ends the
process's standard input, or `{"tell": {"signal": N}}`; when it closes the connection, the process is killed. To an
endpoint, `{"tell": {"start_ns": N}}` passes on when it is to begin.
Of `timeline`, anything that the client tells is the end, as is closing the connection.
"""

from __future__ import annotations

import json
from typing import Any

from testbed.errors import LabError, MachineError, TestbedError, UsageError

VERSION = 6
"""Raised whenever a client and an agent of different ages would not understand each other."""

READY = b"ready\n"
"""What an agent that was started ahead writes when it can be told of its lab: `{"arguments": [...]}`."""

_KINDS: dict[str, type[TestbedError]] = {kind.__name__: kind for kind in (UsageError, MachineError, LabError)}


def encode(message: dict[str, Any]) -> bytes:
    """One line of the protocol."""
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


def decode(line: bytes) -> dict[str, Any]:
    """The message of one line.

    Raises:
        ValueError: the line is no JSON object.
    """
    message = json.loads(line)
    if not isinstance(message, dict):
        raise ValueError(f"{line[:80]!r} is no JSON object")  # noqa: TRY004  # a wrong value from the peer
    return message


def error_to_json(error: TestbedError) -> dict[str, str | None]:
    """What crosses the connection of an error."""
    return {"kind": type(error).__name__, "code": error.code, "message": error.message, "hint": error.hint}


def error_from_json(data: dict[str, Any]) -> TestbedError:
    """The error that the agent raised."""
    return _KINDS.get(data["kind"], LabError)(data["code"], data["message"], data["hint"])
