"""What calls, results and events have in common."""

from __future__ import annotations

import re
from typing import Any, Generic, TypeVar, get_args

import msgspec

Result = TypeVar("Result")

_BETWEEN_WORDS = re.compile("(?<=[a-z])(?=[A-Z])")


class Payload(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base of what crosses the socket. No dataclasses: making forty of those takes every command 10 ms."""


class Call(Payload, Generic[Result], frozen=True):
    """Base of calls. The fields are the arguments, the type parameter is the result's."""

    @classmethod
    def call_name(cls) -> str:
        """What the call is named in a message: `StopCommands` is `stop-commands`."""
        return _BETWEEN_WORDS.sub("-", cls.__name__).lower()

    @classmethod
    def result_type(cls) -> Any:  # noqa: ANN401  # any annotation
        """The type of the result."""
        (base,) = cls.__orig_bases__  # type: ignore[attr-defined]  # types.get_original_bases, from Python 3.12 on
        return get_args(base)[0]
