"""The state directory of this machine's labs: an agent's socket and log, and a lock, for each lab."""

from __future__ import annotations

import fcntl
import hashlib
import os
import stat
import time
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.errors import LabError, MachineError
from testbed.names import checked

if TYPE_CHECKING:
    from collections.abc import Iterator


def root() -> Path:
    """Return the directory of this user's labs, created if necessary; no other user may enter it.

    `/run/testbed` for root, else `$XDG_RUNTIME_DIR/testbed`, else `/tmp/testbed-UID`.

    Raises:
        MachineError: `state-not-written`; `unsafe-state-directory`, it belongs to somebody else, so that its content
            can't be trusted.
    """
    uid = os.geteuid()
    runtime_directory = os.environ.get("XDG_RUNTIME_DIR", "")
    if uid == 0:
        path = Path("/run/testbed")
    elif runtime_directory and os.access(runtime_directory, os.W_OK):
        path = Path(runtime_directory) / "testbed"
    else:
        path = Path(f"/tmp/testbed-{uid}")  # noqa: S108  # checked below
    with _writing(path):
        path.mkdir(mode=0o700, exist_ok=True)
    status = path.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != uid or stat.S_IMODE(status.st_mode) != 0o700:  # noqa: PLR2004
        raise MachineError(
            "unsafe-state-directory",
            f"{path} should be a directory of user {uid} that nobody else may enter; it belongs to user "
            f"{status.st_uid}, mode {stat.S_IMODE(status.st_mode):o}",
            f"remove {path}, or set XDG_RUNTIME_DIR to a directory of your own",
        )
    return path


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Turn an OSError while writing to `path` into a MachineError."""
    try:
        yield
    except OSError as error:
        elsewhere = "" if os.geteuid() == 0 else ", or set XDG_RUNTIME_DIR to a directory of your own"
        raise MachineError(
            "state-not-written",
            f"the state of labs can't be written to {path}: {error.strerror}",
            f"make {path.parent} writable (a container needs --tmpfs /run){elsewhere}",
        ) from None


class LabDirectory:
    """The files of one lab below `root()`.

    Raises:
        UsageError: `bad-name`.
    """

    def __init__(self, runtime: str, lab: str) -> None:
        self.path = root() / runtime / checked(lab)
        self.socket = self.path / "agent.sock"
        self.log = self.path / "agent.log"
        self.journal = self.path / "agent.journal"
        self.stop_signals = self.path / "stop-signals.json"
        self.compose = self.path / "compose.json"
        self.machines = self.path / "machines.json"

    @property
    def agent_name(self) -> str:
        """The name of the agent's processes, within the 15 bytes that the kernel keeps."""
        return f"tb-{hashlib.sha256(os.fsencode(self.path)).hexdigest()[:12]}"

    def make(self) -> None:
        """Create the directory, unless it exists."""
        with _writing(self.path):
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)

    def remove(self) -> bool:
        """Remove the directory with its content; return False if there was none."""
        if not self.path.exists():
            return False
        import shutil  # noqa: PLC0415  # it imports what compresses

        shutil.rmtree(self.path, ignore_errors=True)
        return True


def labs(runtime: str) -> list[str]:
    """Return the sorted names of the labs of a runtime that have a directory."""
    path = root() / runtime
    return sorted(entry.name for entry in path.iterdir() if entry.is_dir()) if path.is_dir() else []


_BRINGING = "bringing it up or down"

_REMOVAL_SECONDS = 0.2


@contextmanager
def locked(lab: str, doing: str = _BRINGING, state: str = "") -> Iterator[None]:
    """Keep other commands from doing the same to a lab at the same time. The kernel frees the lock if its holder dies.

    Args:
        lab: its name.
        doing: what only one command may do at a time, for the message.
        state: of the lab meanwhile, for `changing`.

    Raises:
        UsageError: `bad-name`.
        LabError: `lab-busy`: another command holds the lock.
        MachineError: `state-not-written`.
    """
    path = _lock(lab, doing)
    _remove_stale_locks()
    deadline = time.monotonic() + _REMOVAL_SECONDS
    while True:
        with _writing(path):
            file = path.open("a", encoding="utf-8")
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() < deadline:  # a process that removes stale locks may hold it
                    time.sleep(_REMOVAL_SECONDS / 10)
                    continue
                raise LabError(
                    "lab-busy", f"lab {lab}: another command is {doing}", "wait for it to end, then try again"
                ) from None
            if os.fstat(file.fileno()).st_nlink:  # otherwise another process has removed the file, and it locks nothing
                try:
                    file.write(f"{os.getpid()} {state}")
                    file.flush()
                    yield
                finally:
                    path.unlink()
                return


def _remove_stale_locks() -> None:
    """Remove the locks of commands that were killed."""
    for path in root().glob("*.lock"):
        with suppress(OSError), path.open(encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(file.fileno()).st_nlink:  # otherwise its holder has removed it, and the path may be another's
                path.unlink()


def changing(lab: str) -> str:
    """Return what a running command does to a lab: `coming up (pid 12, since 14:03:11)`; empty if there is none."""
    path = _lock(lab, _BRINGING)
    try:
        pid, _, state = path.read_text("utf-8").partition(" ")
        since = datetime.fromtimestamp(path.stat().st_mtime).astimezone()
    except FileNotFoundError:
        return ""
    running = (
        pid.isdecimal() and Path(f"/proc/{pid}").exists()
    )  # otherwise the file is that of a command that was killed
    return f"{state} (pid {pid}, since {since:%H:%M:%S})" if running else ""


def _lock(lab: str, doing: str) -> Path:
    return root() / f"{checked(lab)}.{doing.split(maxsplit=1)[0]}.lock"
