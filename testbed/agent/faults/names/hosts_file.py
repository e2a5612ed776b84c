"""The file /etc/hosts of a node, from which some names are hidden, so that programs ask a name server for them.

A hidden name is overwritten by spaces, in one write of as many bytes as the file has: programs that read it meanwhile
see the old names or the new ones. It stays the same file, for it is mounted.
"""

from __future__ import annotations

import os
import re
from ipaddress import ip_address
from typing import TYPE_CHECKING

from testbed.families import is_address
from testbed.faults import ALL_NAMES

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

_WORD = re.compile(r"\S+")
_MOST_BYTES = 1 << 20


class HostsFile:
    """The /etc/hosts of a node, from which names can be hidden."""

    def __init__(self, opened: Callable[[int], int], kept: str) -> None:
        """Hide nothing yet.

        Args:
            opened: opens the file with flags of open(2), and returns a file descriptor.
            kept: the name of the node itself, which is not hidden among all names.

        Raises:
            OSError: the file can't be read.
        """
        self._opened = opened
        self._kept = kept
        self._before = self._now = self._read()

    def _read(self) -> str:
        fd = self._opened(os.O_RDONLY)
        with os.fdopen(fd, "rb") as file:
            return file.read(_MOST_BYTES).decode("utf-8", "surrogateescape")

    def hide(self, names: Collection[str]) -> None:
        """Hide these names (lower case), and no others; `*` is all but those of the node itself.

        Raises:
            OSError: the file can't be written.
        """
        hidden = "".join(self._hidden(line, names) for line in self._before.splitlines(keepends=True))
        if hidden == self._now:
            return
        if self._read() != self._now:  # somebody else has written it meanwhile, and it is theirs
            return
        fd = self._opened(os.O_WRONLY)
        try:
            os.pwrite(fd, hidden.encode("utf-8", "surrogateescape"), 0)
        finally:
            os.close(fd)
        self._now = hidden

    def _hidden(self, line: str, names: Collection[str]) -> str:
        content = line.partition("#")[0]
        words = [*_WORD.finditer(content)]
        if len(words) < 2 or not is_address(words[0][0]):  # noqa: PLR2004  # an address and a name
            return line
        listed = [word[0].lower() for word in words[1:]]
        everything = ALL_NAMES in names and self._kept not in listed and not ip_address(words[0][0]).is_loopback
        chosen = [word for word in words[1:] if everything or word[0].lower() in names]
        if not chosen:
            return line
        text = line
        for word in chosen:
            text = text[: word.start()] + " " * len(word[0]) + text[word.end() :]
        return "#" + text[1:] if len(chosen) == len(listed) else text

    def addresses(self, name: str) -> list[str]:
        """Return the addresses of a name (lower case), hidden or not."""
        return [
            words[0]
            for line in self._before.splitlines()
            if name in map(str.lower, (words := line.partition("#")[0].split())[1:]) and is_address(words[0])
        ]
