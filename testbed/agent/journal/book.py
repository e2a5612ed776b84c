"""The file of a journal."""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Self

import msgspec

from testbed.agent.journal.entries import OffloadsOff, read, still_open, subject

if TYPE_CHECKING:
    from collections.abc import Iterator

    from testbed.agent.journal.entries import Entry

JOURNAL = "agent.journal"
"""Its name in the directory of a lab."""

_READ_BYTES = 1 << 16


class Journal:
    """The file, which is only ever appended to; a killed process leaves at most its last line unfinished.

    Several labs may need the offloads of one interface off. So a journal knows those of the other labs, which are in
    the directories beside its own.
    """

    def __init__(self, fd: int, labs: int, name: str) -> None:
        """Use a file; `close` closes both descriptors.

        Args:
            fd: of the file, open for reading and appending.
            labs: of the directory that has a directory for each lab.
            name: of a journal in there.
        """
        self._fd = fd
        self._labs = labs
        self._name = name
        self._open = still_open(self.entries())

    @classmethod
    def at(cls, path: Path) -> Self:
        """The journal at a path, which is made if there is none.

        Raises:
            OSError: it can't be opened.
        """
        # Both stay open, because those of an agent in a container can't be reached by their paths after its death.
        labs = os.open(path.parent.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        return cls(fd, labs, path.name)

    def write(self, entry: Entry) -> None:
        """Append a line, unless there is one about the same port or bridge already: the first says how it was.

        Of offloads that other labs have switched off before, these labs know how they were. See `alone`.

        Raises:
            OSError: the disk is full, perhaps; what the entry is about must not be done then.
        """
        if isinstance(entry, OffloadsOff):
            before = {feature for other in self.shared(entry) for feature in other.wanted}
            entry = msgspec.structs.replace(entry, wanted=tuple(sorted({*entry.wanted, *before})))
        if subject(entry) not in self._open:
            os.write(self._fd, msgspec.json.encode(entry) + b"\n")
            self._open = still_open([*self._open.values(), entry])

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other labs from switching offloads off or on in this context."""
        fcntl.flock(self._labs, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._labs, fcntl.LOCK_UN)

    def shared(self, entry: OffloadsOff) -> list[OffloadsOff]:
        """Return what the journals of other labs have about the interface of an entry."""
        found = []
        for path in Path(f"/proc/self/fd/{self._labs}").glob(f"*/{self._name}"):
            with suppress(OSError):  # that lab has just gone
                if not os.path.samestat(path.stat(), os.fstat(self._fd)):
                    found.append(still_open(read(path.read_bytes())).get(subject(entry)))
        return [other for other in found if isinstance(other, OffloadsOff)]

    def entries(self) -> list[Entry]:
        """All lines, in their order."""
        data = b""
        while more := os.pread(self._fd, _READ_BYTES, len(data)):
            data += more
        return read(data)

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)
        os.close(self._labs)
