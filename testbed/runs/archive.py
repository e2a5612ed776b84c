"""A run as one file, to attach to a ticket or to carry to another machine: a zip file, which any system opens.

It holds `LAB/TIME-ID/`, as `results/` does. The same run makes the same bytes.
"""

from __future__ import annotations

import secrets
import shutil
import stat
from pathlib import Path, PurePosixPath
from struct import error as StructError  # noqa: N812  # it is a class
from typing import TYPE_CHECKING
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo, is_zipfile
from zlib import error as ZlibError  # noqa: N812  # it is a class

from testbed.errors import MachineError, UsageError
from testbed.runs.run import RUN_FILE

if TYPE_CHECKING:
    from testbed.runs.run import Run

IMPORTED = "imported"
"""The directory, of all runs, where those go that come from such files: never among the repetitions made here."""

_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a zip file can tell: when files were written is no part of a run."""

_MOST_BYTES = 16 << 30
_RUN_DEPTH = 2
_ENCRYPTED = 1


def export(run: Run, file: Path) -> Path:
    """Write a run, whole or not, to a file, over one that is there.

    Returns:
        The file.

    Raises:
        UsageError: it can't be written there.
    """
    if file.exists() and not file.is_file():
        raise UsageError("not-exported", f"{file} is no file", "-o FILE writes it elsewhere")
    temporary = file.resolve().with_name(f".{file.name}.new")
    try:
        with ZipFile(temporary, "w", ZIP_DEFLATED) as archive:
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
        raise UsageError("not-exported", f"{file}: {error.strerror}", "-o FILE writes it elsewhere") from error
    finally:
        temporary.unlink(missing_ok=True)
    return file


def unpack(file: Path, root: Path) -> Path:
    """Unpack a run that was exported; once, however often it is asked for.

    Args:
        file: what `export` wrote, or somebody else says so: nothing in it is believed.
        root: the directory of all runs.

    Returns:
        The run's directory, `root/imported/LAB/TIME-ID`.

    Raises:
        UsageError: `not-an-export`; `run-exists`, another one is there; `not-imported`, it can't be written.
        MachineError: there is no room for it.
    """
    if not is_zipfile(file):
        raise _refusal(file, "it is no zip file")
    try:
        with ZipFile(file) as archive:
            entries = [entry for entry in archive.infolist() if not entry.is_dir()]
            run = _run_of(file, entries)
            path = root / IMPORTED / run
            _check_room(file, entries, root)
            if path.exists():
                if (path / RUN_FILE).read_bytes() == archive.read(str(run / RUN_FILE)):
                    return path
                raise UsageError("run-exists", f"{path} is there, and of another run than {file}", f"rm -r {path}")
            _extract(archive, entries, run, path)
    except (BadZipFile, ZlibError, StructError, EOFError, ValueError, NotImplementedError) as error:
        raise _refusal(file, str(error)) from error
    except OSError as error:
        raise UsageError("not-imported", f"{file}: {error}", "--results DIR keeps runs elsewhere") from error
    return path


def _extract(archive: ZipFile, entries: list[ZipInfo], run: PurePosixPath, path: Path) -> None:
    """Have all of the run's files in `path`, or none."""
    temporary = path.with_name(f".{path.name}-{secrets.token_hex(2)}")
    try:
        for entry in entries:
            target = temporary / PurePosixPath(entry.filename).relative_to(run)
            target.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(entry) as source, target.open("xb") as written:
                shutil.copyfileobj(source, written)  # as many bytes as the entry says at most, and its CRC is checked
        temporary.rename(path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def _run_of(file: Path, entries: list[ZipInfo]) -> PurePosixPath:
    """The one directory, `LAB/TIME-ID`, that all entries are in.

    Raises:
        UsageError: there is none, or an entry is not what it should be.
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


def _check_room(file: Path, entries: list[ZipInfo], root: Path) -> None:
    root.mkdir(parents=True, exist_ok=True)
    wanted, free = sum(entry.file_size for entry in entries), shutil.disk_usage(root).free
    if wanted > _MOST_BYTES:
        raise _refusal(file, f"it would unpack to {_gigabytes(wanted)}")
    if wanted > free:
        raise MachineError(
            "no-room", f"{file} unpacks to {_gigabytes(wanted)}; {root} has room for {_gigabytes(free)}", "make room"
        )


def _gigabytes(size_bytes: int) -> str:
    return f"{size_bytes / 10**9:.3g} GB"


def _refusal(file: Path, reason: str) -> UsageError:
    return UsageError("not-an-export", f"{file}: {reason}", "testbed export RUN makes files that hold a run")
