"""Files between this machine and nodes, as tar archives."""

from __future__ import annotations

import shutil
import tarfile
import tempfile
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING

from testbed.errors import LabError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def packed(source: Path, name: str) -> Iterator[IO[bytes]]:
    """Give a tar archive of a file or of a directory with all that is in it, owned by root: a file that then goes.

    Args:
        source: the file or directory of this machine.
        name: its name in the archive.

    Raises:
        UsageError: `no-such-file`.
    """

    def by_root(entry: tarfile.TarInfo) -> tarfile.TarInfo:
        entry.uid = entry.gid = 0
        entry.uname = entry.gname = "root"
        return entry

    with tempfile.TemporaryFile() as archive:  # not in memory: it may be long
        try:
            with tarfile.open(fileobj=archive, mode="w") as tar:
                tar.add(source, name, filter=by_root)
        except OSError as error:
            reason = error.strerror or str(error)
            hint = "name a file of this machine, and have space for it where temporary files are"
            raise UsageError("no-such-file", f"{source} can't be read: {reason}", hint) from None
        archive.seek(0)
        yield archive


def unpack(archive: IO[bytes], destination: Path) -> None:
    """Write what an archive of a node contains, one file or one directory, to this path.

    Nothing is written outside the path, whatever the archive of a node says: members that are neither files nor
    directories, and names that lead elsewhere, are an error.

    Raises:
        LabError: `unsafe-archive`.
        UsageError: `file-refused`: the path can't be written.
    """
    try:
        with tarfile.open(fileobj=archive) as tar:
            for member in tar:
                _write(tar, member, destination)
    except tarfile.TarError as error:  # netns runs the node's tar, which may be anything
        raise LabError("unsafe-archive", f"what the node sent is no tar archive: {error}") from None
    except OSError as error:
        message = f"{error.filename or destination} can't be written: {error.strerror}"
        raise UsageError("file-refused", message, "choose another place, or free some space") from None


def _write(tar: tarfile.TarFile, member: tarfile.TarInfo, destination: Path) -> None:
    within = PurePosixPath(member.name).parts[1:]  # the first part is the name of what was asked for
    if ".." in within or not (member.isdir() or member.isreg()):
        kind = "leads out of it" if ".." in within else "is neither a file nor a directory"
        raise LabError("unsafe-archive", f"{member.name} in the node {kind}", "copy the wanted files one by one")
    path = destination.joinpath(*within)
    if member.isdir():
        path.mkdir(parents=True, exist_ok=True)
        return
    content = tar.extractfile(member)
    assert content is not None  # noqa: S101  # it is a regular file
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        shutil.copyfileobj(content, file)  # piece by piece: it may be long
    path.chmod(member.mode & 0o777)
