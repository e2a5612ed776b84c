"""The protocol of agent and clients: JSON lines over a stream. `testbed.agent.messages` declares the messages.

A client connects and makes one call at a time:

    -> {"call": "impair", "with": {...}}
    <- {"event": {...}}                      any number, while the call lasts
    <- {"result": ...}  or  {"error": {"kind", "code", "message", "hint"}}

While a `spawn`, `start-endpoint` or `capture` call lasts, the client may send `{"tell": {...}}`; when it closes the
connection, the process is killed. A `play-timeline` or `follow` call ends when the client sends anything or closes the
connection, an `announce-run` call when the client says so by a `tell`, or closes it.
`hello` and its answer have this form in all versions, so that each side recognises another version.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec

from testbed import codec
from testbed.errors import LabError, MachineError, TestbedError, UsageError

if TYPE_CHECKING:
    from testbed.agent.messages import Call

VERSION = 23
"""Raised whenever a client and an agent of different ages would not understand each other."""

READY = b"ready\n"
"""What an agent that was started ahead writes when it can be told of its lab: a JSON list of its arguments."""

_KINDS: dict[str, type[TestbedError]] = {kind.__name__: kind for kind in (UsageError, MachineError, LabError)}


T = TypeVar("T")


class WireError(msgspec.Struct, frozen=True):
    """An error as it crosses the connection."""

    kind: str
    code: str
    message: str
    hint: str | None


class Message(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line: a call with its arguments, or one of the others. Their values are JSON, for `read` to take."""

    call: str | None = None
    arguments: object = msgspec.field(default=None, name="with")
    tell: object = None
    event: object = None
    result: object = msgspec.UNSET
    error: WireError | None = None


_MESSAGES: Final = msgspec.json.Decoder(Message)


def call(what: Call[Any]) -> Message:
    """Return the message that makes a call."""
    return Message(call=what.call_name(), arguments=codec.encode(what))


def read(value: object, kind: type[T], what: str) -> T:
    """Decode a value of a message to the expected type.

    Args:
        value: JSON.
        kind: the type.
        what: names the message.

    Raises:
        LabError: `bad-message`, with the field that is wrong.
    """
    try:
        return codec.decode(value, kind)
    except codec.UnreadableError as error:
        raise LabError("bad-message", f"{what}: {error}", "client and agent may be of different versions") from None


def encode(message: Message) -> bytes:
    """Encode a message as a line."""
    return msgspec.json.encode(message) + b"\n"


def decode(line: bytes) -> Message:
    """Decode the message of a line.

    Raises:
        ValueError: the line is no message.
    """
    try:
        return _MESSAGES.decode(line)
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise ValueError(f"{line[:80]!r} is no message: {error}") from None


def line_of(value: object) -> bytes:
    """Encode a value as a line of JSON, for arguments and output of our own processes."""
    return json.dumps(codec.encode(value), separators=(",", ":")).encode() + b"\n"


def error_message(error: TestbedError) -> Message:
    """Return the message that reports an error."""
    return Message(error=WireError(type(error).__name__, error.code, error.message, error.hint))


def error_of(message: Message) -> TestbedError | None:
    """Return the error that a message reports, if any."""
    if (told := message.error) is None:
        return None
    return _KINDS.get(told.kind, LabError)(told.code, told.message, told.hint)
