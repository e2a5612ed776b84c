"""The files that a sweep sends to workers: those beside its topology that its nodes use."""

from __future__ import annotations

import io
import shlex
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from testbed.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from testbed.plan import Plan

_MOST_BYTES = 64 << 20
_EPOCH = (1980, 1, 1, 0, 0, 0)


def pack(plans: Iterable[Plan]) -> bytes:
    """Return an archive of the files that plans name by paths relative to their topology's directory.

    These are the sources of volumes, the contexts of builds, and what words of commands name. What else the nodes use,
    such as files with an absolute path, must be on the workers.

    Raises:
        UsageError: `not-sent`: a volume or build leads out of the directory; or the files are too large.
    """
    wanted: dict[PurePosixPath, Path] = {}
    for plan in plans:
        for name in dict.fromkeys((*_required(plan), *_in_commands(plan))):
            wanted[PurePosixPath(name)] = Path(plan.directory) / name
    content, size = io.BytesIO(), 0
    with ZipFile(content, "w", ZIP_DEFLATED) as archive:
        for inside, path in sorted({file for each in wanted.items() for file in _below(*each)}):
            entry = ZipInfo(f"{inside}/" if path.is_dir() else str(inside), _EPOCH)
            entry.compress_type = ZIP_DEFLATED
            entry.external_attr = path.stat().st_mode << 16
            data = b"" if path.is_dir() else path.read_bytes()
            if (size := size + len(data)) > _MOST_BYTES:
                raise UsageError(
                    "not-sent",
                    f"the files that nodes use ({', '.join(map(str, wanted))}) are more than {_MOST_BYTES >> 20} MiB",
                    "put large files on the workers, and name them by absolute paths",
                )
            archive.writestr(entry, data)
    return content.getvalue()


def unpack(archive: Path, directory: Path) -> None:
    """Unpack what `pack` has made, with the files' modes. The archive is trusted, as the commands in the plan are."""
    with ZipFile(archive) as packed:
        for entry in packed.infolist():
            path = directory / entry.filename
            if entry.is_dir():
                path.mkdir(parents=True, exist_ok=True)
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(packed.read(entry))
            path.chmod(entry.external_attr >> 16 & 0o777)


def _required(plan: Plan) -> Iterator[str]:
    """Yield the relative paths of volumes and builds."""
    for node in plan.nodes:
        builds = [node.service.build.context] if node.service.build else []
        for path in (*(volume.source for volume in node.service.volumes), *builds):
            if path.startswith(("/", "~")):
                continue
            if ".." in PurePosixPath(path).parts:
                raise UsageError(
                    "not-sent",
                    f"node {node.name} uses {path}, which is not below the topology's directory",
                    "put it beside the topology; or on each worker, and name it by an absolute path",
                )
            yield path


def _in_commands(plan: Plan) -> Iterator[str]:
    """Yield words of commands that name something in the topology's directory, but not that directory itself."""
    for word in (word for command in _commands(plan) for word in _words(command)):
        inside = PurePosixPath(word)
        if not inside.is_absolute() and inside.parts and ".." not in inside.parts and _exists(plan, word):
            yield word


def _exists(plan: Plan, word: str) -> bool:
    try:
        return (Path(plan.directory) / word).exists()
    except (OSError, ValueError):  # too long for a name, or with a null character
        return False


def _commands(plan: Plan) -> Iterator[tuple[str, ...]]:
    for node in plan.nodes:
        yield from (node.command, node.service.entrypoint, *node.service.setup)
        if node.ready:
            yield node.ready.command
    for workload in plan.workloads:
        yield from (value for value in workload.parameters.values() if isinstance(value, tuple))
    for event in plan.timeline:
        yield from (command.argv for command in event.commands)


def _words(command: Iterable[str]) -> Iterator[str]:
    """Yield the words of a command, and those within them: `sh -c "python3 client.py"`."""
    for word in command:
        yield word
        try:
            yield from shlex.split(word)
        except ValueError:  # a quotation that does not end: this is no line of a shell
            continue


def _below(inside: PurePosixPath, path: Path) -> Iterator[tuple[PurePosixPath, Path]]:
    """Yield a file, or a directory with all that is below it; links are followed where they lead to files."""
    yield inside, path
    if path.is_dir():
        for each in path.rglob("*"):
            if each.is_file() or (each.is_dir() and not each.is_symlink()):
                yield inside / PurePosixPath(*each.relative_to(path).parts), each
