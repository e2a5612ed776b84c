"""What the agent asks of a worker process, and what that answers: datagrams of JSON on a SOCK_SEQPACKET pair."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from testbed.engines.counters import Counters

DATAGRAM_BYTES: Final = 65536
"""The most bytes of one request or answer."""

LINKS_MOST: Final = 64
"""The most links of one `Add`: Linux passes at most 253 descriptors with a message (SCM_MAX_FD)."""


COUNTED_MOST: Final = 16
"""The most links of one `Count`: no frame passes meanwhile, 30 us for each link."""

RESTARTED_MOST: Final = 64
"""The most links of one `RestartLinks`: no frame passes meanwhile."""


class _Request(msgspec.Struct, frozen=True, kw_only=True, tag_field="do", tag=str.lower, forbid_unknown_fields=True):
    """Base of the requests.

    Attributes:
        id: the number of the request, which its answer repeats; the sender gives it.
    """

    id: int = 0


class Begun(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A link that begins: its name, its seed, and time zero of its traces, ns of CLOCK_MONOTONIC; None is now."""

    link: str
    seed: int
    origin_ns: int | None = None


class Add(_Request, frozen=True, kw_only=True):
    """Add all of these links, or none.

    It passes descriptors: a file with the impairments of the links, then the input and output packet sockets of each.
    The impairments of a request are JSON in a file because a trace is too large for a datagram.
    """

    links: tuple[Begun, ...]

    @property
    def link(self) -> str:
        """The names of the links, in short."""
        return _in_short([link.link for link in self.links])


class Replace(_Request, frozen=True, kw_only=True):
    """Replace the impairments of a link. It passes a file with them."""

    link: str


class RestartLinks(_Request, frozen=True, kw_only=True, tag="restart"):
    """Restart at most `RESTARTED_MOST` links with nothing in flight and all counters at zero.

    Links that are dead or unknown don't hinder the others, but are an error.

    Attributes:
        origin_ns: time zero of their traces, ns of CLOCK_MONOTONIC; None is now.
    """

    links: tuple[str, ...]
    origin_ns: int | None = None

    @property
    def link(self) -> str:
        """The names of the links, in short."""
        return _in_short(self.links)


class Remove(_Request, frozen=True, kw_only=True):
    """Remove a link and drop its frames in flight."""

    link: str


class Count(_Request, frozen=True, kw_only=True):
    """Read the counters of at most `COUNTED_MOST` links."""

    links: tuple[str, ...]

    @property
    def link(self) -> str:
        """The names of the links, in short."""
        return _in_short(self.links)


def _in_short(names: Sequence[str]) -> str:
    first, *others = names
    return f"{first} and {len(others)} more" if others else first


class Answer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """The answer to the request of that `id`, sent when it has taken effect.

    Attributes:
        error: why the request had no effect, or None.
        counters: by link, to `Count`.
    """

    id: int
    error: str | None = None
    counters: Mapping[str, Counters] | None = None


Request = Add | Replace | RestartLinks | Remove | Count

_REQUESTS: Final[msgspec.json.Decoder[Request]] = msgspec.json.Decoder(Request)
_ANSWERS: Final = msgspec.json.Decoder(Answer)


def encode(message: Request | Answer) -> bytes:
    """Return a message as a datagram."""
    return msgspec.json.encode(message)


def decode_request(datagram: bytes) -> Request:
    """Return the request of a datagram.

    Raises:
        msgspec.DecodeError: it is none.
    """
    return _REQUESTS.decode(datagram)


def decode_answer(datagram: bytes) -> Answer:
    """Return the answer of a datagram.

    Raises:
        msgspec.DecodeError: it is none.
    """
    return _ANSWERS.decode(datagram)
