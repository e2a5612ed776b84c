"""What the command of a sweep calls on Dask's workers. Dask sends the name of a function, and runs it there."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from testbed import __version__, codec
from testbed.sweep.cluster import trial
from testbed.sweep.cluster.trial import Failure, Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

RESOURCE = "lab"
"""The resource of Dask of which a worker has one, and a run takes one."""

_PATIENCE_S = 60
"""How long to wait for labs to be taken down."""

_LAST_LINES = 5

_FETCHED_S = 3600
"""After how long nobody will fetch a run any more: the command that started it was killed."""

_PREFIX = "testbed-"

_running: dict[str, subprocess.Popen[bytes]] = {}
"""The processes of trials, by identifier."""

_stopped: set[str] = set()
"""The identifiers of trials that must not begin any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Greeting:
    """What a worker reports about itself.

    Attributes:
        version: of the testbed.
        name: of the worker; its address unless it was given one.
        labs: how many of the resource it has.
        machine: the same for workers on one machine; workers in containers of their own count as several machines.
        scratch: its directory for temporary files.
    """

    version: str
    name: str
    labs: float
    machine: str
    scratch: str


def version() -> str:
    """Return the version of the testbed here."""
    return __version__


def greet(dask_worker: Any) -> Greeting:  # noqa: ANN401  # the worker, which Dask passes under this name
    """Return what the sweep needs to know of this worker."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text("utf-8").strip()
    return Greeting(
        version=__version__,
        name=str(dask_worker.name),
        labs=dask_worker.state.total_resources.get(RESOURCE, 0),
        machine=f"{boot} {Path('/proc/self/ns/pid').readlink()}",
        scratch=str(dask_worker.local_directory),
    )


def keep_files(scratch: str, name: str, content: bytes) -> str:
    """Keep the archive of a sweep's files for all of its runs, and return its path."""
    path = Path(scratch) / name
    path.write_bytes(content)
    return str(path)


def make(identifier: str, scratch: str, files: str, plan: Mapping[str, Any]) -> tuple[Outcome, str]:
    """Make a run in a process of its own, and wait for it.

    Args:
        identifier: of the trial, for `stop`.
        scratch: where its directory is made.
        files: path of the archive of files.
        plan: as JSON.

    Returns:
        The outcome, and the trial's directory, which is there as long as the outcome says that a run was recorded.
    """
    _forget_old(scratch)
    directory = Path(tempfile.mkdtemp(dir=scratch, prefix=_PREFIX))
    directory.chmod(0o755)  # nodes with another `user` read their volumes there
    (directory / trial.REQUEST).write_text(json.dumps(plan), encoding="utf-8")
    (directory / trial.FILES).symlink_to(files)
    argv = [sys.executable, "-P", "-m", trial.__name__, str(directory)]
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=errors, stderr=errors)
        _running[identifier] = process
        try:
            if identifier in _stopped:
                _end(process)
            process.wait()
        finally:
            _running.pop(identifier, None)
        errors.seek(0)
        said = errors.read().decode(errors="replace").splitlines()[-_LAST_LINES:]
    try:
        outcome = codec.decode(json.loads((directory / trial.OUTCOME).read_text("utf-8")), Outcome)
    except OSError:
        message = f"the process of the run ended with status {process.returncode}: {' / '.join(said)}"
        failure = Failure(kind="LabError", code="run-lost", message=message, hint=None)
        outcome = Outcome(failure=failure, recorded=False)
    if not outcome.recorded:
        forget(str(directory))
    return outcome, str(directory)


def piece(directory: str, offset: int, size: int) -> bytes:
    """Return a piece of the archive of a run, bytes; nothing at its end."""
    with (Path(directory) / trial.RUN).open("rb") as file:
        file.seek(offset)
        return file.read(size)


def forget(path: str) -> None:
    """Remove the directory of a trial, or the archive of a sweep's files."""
    if Path(path).is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        Path(path).unlink(missing_ok=True)


def _forget_old(scratch: str) -> None:
    for path in Path(scratch).glob(f"{_PREFIX}*/{trial.OUTCOME}"):
        if time.time() - path.stat().st_mtime > _FETCHED_S:
            forget(str(path.parent))


async def stop(identifiers: Iterable[str], files: Mapping[str, str], dask_worker: Any) -> bool:  # noqa: ANN401
    """Interrupt trials, wait until their labs are down, and remove the archive of the sweep's files.

    Args:
        identifiers: of all trials of the sweep, also those of other workers.
        files: where each worker has the archive.
        dask_worker: this one, which Dask passes under this name.

    Returns:
        Whether the labs are down.
    """
    _stopped.update(identifiers)
    processes = [_running[each] for each in identifiers if each in _running]
    for process in processes:
        _end(process)
    waiting = (asyncio.to_thread(process.wait, _PATIENCE_S) for process in processes)
    await asyncio.gather(*waiting, return_exceptions=True)
    forget(files[dask_worker.address])
    return all(process.poll() is not None for process in processes)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Close the standard input of a trial's process, which ends it; see `trial`."""
    if process.stdin:
        process.stdin.close()
