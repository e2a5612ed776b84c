"""DNS messages (RFC 1035), as far as a question is to be understood and answered with addresses, or with a failure.

The agent does without dnspython, which takes a tenth of a second to import.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

NOERROR: Final = 0
SERVFAIL: Final = 2
NXDOMAIN: Final = 3

A: Final = 1
AAAA: Final = 28
_TYPES: Final = {4: A, 6: AAAA}
_IN: Final = 1

_HEADER = struct.Struct("!6H")
_KIND = struct.Struct("!2H")
_RECORD = struct.Struct("!HHHIH")
_QUESTION_AT: Final = 0xC00C
"""A pointer to the name of the question, which follows the header."""

_RESPONSE, _OPCODE, _RECURSION_DESIRED, _RECURSION_AVAILABLE = 0x8000, 0x7800, 0x0100, 0x0080
_LONGEST_LABEL = 63


@dataclass(frozen=True, slots=True)
class Question:
    """A question for a name server.

    Attributes:
        number: the id of the message.
        flags: of its header.
        name: in lower case, without a dot at its end.
        kind: the type of the records that are wanted: `A`, `AAAA`, ...
        encoded: the question section.
    """

    number: int
    flags: int
    name: str
    kind: int
    encoded: bytes


def read(message: bytes) -> Question | None:
    """Read a message; return None if it is no query with one question."""
    if len(message) < _HEADER.size:
        return None
    number, flags, questions, *_ = _HEADER.unpack_from(message)
    if flags & (_RESPONSE | _OPCODE) or questions != 1:
        return None
    labels, place = [], _HEADER.size
    while place < len(message) and (length := message[place]):
        if length > _LONGEST_LABEL:
            return None
        labels.append(message[place + 1 : place + 1 + length])
        place += 1 + length
    end = place + 1 + _KIND.size
    if end > len(message):
        return None
    kind, _ = _KIND.unpack_from(message, place + 1)
    name = b".".join(labels).decode("ascii", "backslashreplace").lower()
    return Question(number, flags, name, kind, message[_HEADER.size : end])


def answer(question: Question, code: int, addresses: Iterable[str] = ()) -> bytes:
    """Return the answer to a question.

    Args:
        question: as it was asked.
        code: of the response: `NOERROR`, ...
        addresses: of the name; those of the type that the question is for are given, and may not be cached.
    """
    records = [
        _RECORD.pack(_QUESTION_AT, question.kind, _IN, 0, len(address.packed)) + address.packed
        for address in map(ip_address, addresses)
        if _TYPES[address.version] == question.kind
    ]
    flags = _RESPONSE | question.flags & _RECURSION_DESIRED | _RECURSION_AVAILABLE | code
    return _HEADER.pack(question.number, flags, 1, len(records), 0, 0) + question.encoded + b"".join(records)
