"""Finding and reading runs on disk."""

from __future__ import annotations

import json
import logging
from json import JSONDecodeError
from pathlib import Path

from testbed import arguments
from testbed.codec import UnreadableError
from testbed.errors import UsageError
from testbed.runs import archive
from testbed.runs.run import RUN_FILE, Run

_log = logging.getLogger(__name__)

LATEST = "latest"
PARTIAL = ".partial"
INCOMPLETE = ".incomplete"

_TIME_LENGTH = len("YYYYmmddTHHMMSSZ")


def load(name: str | Path, root: Path = Path("results")) -> Run:
    """Read a run.

    Args:
        name: the run's directory, complete or not, or its run.json; a file that `testbed export` wrote, which is
            unpacked below `root`; the name of a lab, for its latest complete run; or `latest`.
        root: the directory of all runs.

    Raises:
        UsageError: `no-such-run`; `run-unreadable`, with the reason; what `archive.unpack` raises.
    """
    path = _find(name, arguments.path(root, "root"))
    file = path / RUN_FILE
    _log.debug("read %s", file)
    try:
        return Run.from_json(json.loads(file.read_text("utf-8")), path)
    except (UnreadableError, JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        reason = str(error)
    except UsageError as error:
        reason = error.message
    except OSError as error:
        reason = error.strerror or str(error)
    hint = "the file was altered, or another version of testbed wrote it; testbed schema --run prints its schema"
    raise UsageError("run-unreadable", f"{file}: {reason}", hint)


def _find(name: str | Path, root: Path) -> Path:
    given = arguments.path(name, "the run")
    if (given / RUN_FILE).is_file():
        return given.resolve()
    if given.is_file():
        return given.resolve().parent if given.name == RUN_FILE else archive.unpack(given, root).resolve()
    if name == LATEST:
        if (root / LATEST / RUN_FILE).is_file():
            return (root / LATEST).resolve()
    elif given.name == str(name) and (runs := whole_runs(root / name)):
        return runs[-1].resolve()
    labs = sorted({file.parent.parent.name for file in root.glob(f"*/*/{RUN_FILE}")})
    known = f"labs with runs are: {', '.join(labs)}" if labs else f"there are no runs in {root} yet"
    raise UsageError(
        "no-such-run",
        f"{str(name)!r} is neither a run's directory or file nor a lab with a complete run in {root}",
        known,
    )


def whole_runs(directory: Path) -> list[Path]:
    """Return the complete runs of a lab, the latest last, without the link `latest`."""
    found = (file.parent for file in directory.glob(f"*/{RUN_FILE}"))
    runs = [run for run in found if run.suffix not in (PARTIAL, INCOMPLETE) and not run.is_symlink()]
    return sorted(runs, key=lambda run: (run.name[:_TIME_LENGTH], (run / RUN_FILE).stat().st_mtime_ns))
