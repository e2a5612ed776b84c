"""Export and import of a run as one zip file, for example to attach to a ticket or to copy to another machine.

The file contains `LAB/TIME-ID/`, as `results/` does. Exports of the same run are byte for byte the same.
"""

from __future__ import annotations

import logging
import os
import secrets
import shutil
import stat
from pathlib import Path, PurePosixPath
from struct import error as StructError  # noqa: N812  # it is a class
from typing import TYPE_CHECKING
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo, is_zipfile
from zlib import error as ZlibError  # noqa: N812  # it is a class

from testbed import logs
from testbed.errors import MachineError, UsageError
from testbed.runs.output_files import make_directory
from testbed.runs.run import RUN_FILE

if TYPE_CHECKING:
    from testbed.runs.run import Run

_log = logging.getLogger(__name__)

IMPORTED = "imported"
"""The directory of imported runs, apart from the runs made here so that they are not taken for repetitions."""

_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest time stamp of zip files: the times at which files were written are not part of a run."""

_MOST_BYTES = 16 << 30
_RUN_DEPTH = 2
_ENCRYPTED = 1


def export(run: Run, file: Path) -> Path:
    """Write a run, complete or not, to a file; an existing file is replaced.

    Returns:
        The file.

    Raises:
        UsageError: `not-exported`: the file can't be written.
    """
    if file.exists() and not file.is_file():
        raise UsageError("not-exported", f"{file} is not a regular file", "choose another file with -o FILE")
    temporary = file.resolve().with_name(f".{file.name}.new")
    try:
        temporary.unlink(missing_ok=True)
        with (
            logs.timed(_log, f"export {run.path}"),
            os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as written,
            ZipFile(written, "w", ZIP_DEFLATED) as archive,
        ):
            for path in sorted(path for path in run.path.rglob("*") if path.is_file() and not path.is_symlink()):
                name = PurePosixPath(run.plan.lab, run.path.name, *path.relative_to(run.path).parts)
                entry = ZipInfo(str(name), _EPOCH)
                entry.compress_type = ZIP_DEFLATED
                entry.external_attr = (stat.S_IFREG | 0o644) << 16
                entry.file_size = path.stat().st_size
                with path.open("rb") as source, archive.open(entry, "w") as target:
                    shutil.copyfileobj(source, target)
        temporary.replace(file.resolve())
    except OSError as error:
        raise UsageError("not-exported", f"{file}: {error.strerror}", "choose another file with -o FILE") from error
    finally:
        temporary.unlink(missing_ok=True)
    return file


def unpack(file: Path, root: Path) -> Path:
    """Unpack an exported run, unless it was unpacked before.

    Args:
        file: an export, possibly from an untrusted source: everything in it is validated.
        root: the directory of all runs.

    Returns:
        The run's directory, `root/imported/LAB/TIME-ID`.

    Raises:
        UsageError: `not-an-export`; `run-exists`: a different run has the same name; `not-imported`: it can't be
            written.
        MachineError: the disk has too little space.
    """
    return unpack_into(file, root / IMPORTED)


def unpack_into(file: Path, directory: Path) -> Path:
    """Unpack an exported run to `directory/LAB/TIME-ID`, and return that; see `unpack`."""
    if not is_zipfile(file):
        raise _refusal(file, "it is not a zip file")
    try:
        with ZipFile(file) as archive:
            entries = [entry for entry in archive.infolist() if not entry.is_dir()]
            run = _run_of(file, entries)
            path = directory / run
            _check_room(file, entries, directory)
            if path.exists():
                if (path / RUN_FILE).read_bytes() == archive.read(str(run / RUN_FILE)):
                    return path
                raise UsageError(
                    "run-exists", f"{path} exists, and is a different run than {file}", f"remove it: rm -r {path}"
                )
            with logs.timed(_log, f"unpack {file} to {path}"):
                _extract(archive, entries, run, path)
    except (BadZipFile, ZlibError, StructError, EOFError, ValueError, NotImplementedError) as error:
        raise _refusal(file, str(error)) from error
    except OSError as error:
        raise UsageError("not-imported", f"{file}: {error}", "choose another directory with --results") from error
    return path


def _extract(archive: ZipFile, entries: list[ZipInfo], run: PurePosixPath, path: Path) -> None:
    """Extract all files of the run to `path`, or none if one fails."""
    temporary = path.with_name(f".{path.name}-{secrets.token_hex(2)}")
    try:
        make_directory(temporary)
        for entry in entries:
            target = temporary / PurePosixPath(entry.filename).relative_to(run)
            make_directory(target.parent)
            with archive.open(entry) as source, target.open("xb") as written:
                shutil.copyfileobj(source, written)  # zipfile limits the size to the entry's and checks its CRC
        temporary.rename(path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def _run_of(file: Path, entries: list[ZipInfo]) -> PurePosixPath:
    """Return the one directory, `LAB/TIME-ID`, that contains all entries.

    Raises:
        UsageError: there is no such directory, or an entry is not one that an export has.
    """
    names = [PurePosixPath(entry.filename) for entry in entries]
    for entry, name in zip(entries, names, strict=True):
        kind = stat.S_IFMT(entry.external_attr >> 16)
        plain = (
            kind in (0, stat.S_IFREG)
            and entry.compress_type in (ZIP_STORED, ZIP_DEFLATED)
            and not entry.flag_bits & _ENCRYPTED
        )
        if not plain or name.is_absolute() or str(name) != entry.filename or not all(map(_is_safe, name.parts)):
            raise _refusal(file, f"it has an entry {entry.filename!r}, which no export has")
    runs = {PurePosixPath(*name.parts[:_RUN_DEPTH]) for name in names}
    if len(runs) != 1 or len(set(names)) != len(names) or next(iter(runs)) / RUN_FILE not in names:
        raise _refusal(file, f"it does not hold one run with its {RUN_FILE}")
    return runs.pop()


def _is_safe(part: str) -> bool:
    return part != ".." and part.isprintable() and not set(part) & set('\\:*?"<>|')


def _check_room(file: Path, entries: list[ZipInfo], directory: Path) -> None:
    wanted = sum(entry.file_size for entry in entries)
    if wanted > _MOST_BYTES:
        raise _refusal(file, f"it would unpack to {_gigabytes(wanted)}")
    make_directory(directory)
    free = shutil.disk_usage(directory).free
    if wanted > free:
        raise MachineError(
            "no-room",
            f"{file} unpacks to {_gigabytes(wanted)}; {directory} has {_gigabytes(free)} free",
            "free some space",
        )


def _gigabytes(size_bytes: int) -> str:
    return f"{size_bytes / 10**9:.3g} GB"


def _refusal(file: Path, reason: str) -> UsageError:
    return UsageError("not-an-export", f"{file}: {reason}", "testbed export RUN writes such files")
