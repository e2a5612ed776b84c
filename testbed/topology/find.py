"""Finding the topology file that a user names."""

from pathlib import Path

from testbed.errors import UsageError
from testbed.named_topologies import SUFFIXES, files_in, named
from testbed.topology.problems import nearest, quote


def find(name_or_path: str | Path) -> Path:
    """Return the file that `name_or_path` names.

    Args:
        name_or_path: a path (anything with a slash or with `.yml` or `.yaml` at its end), or the name of one of
            `topologies/` in the working directory or, where that has none of the name, of those that ship.

    Raises:
        UsageError: there is no such file.
    """
    text = str(name_or_path)
    path = Path(text)
    try:
        if "/" in text or text.endswith(SUFFIXES):
            return _given(path, text)
        files = named()
        if text not in files and path.is_dir():
            raise _directory(path, text)
    except OSError as error:
        hint = "name a file that this user can read"
        raise UsageError("unreadable-file", f"{quote(text)} can't be read: {error.strerror}", hint) from None
    if text not in files:
        hint = f"{nearest(text, sorted(files), 'topologies')}; a path is written with its suffix, .yml"
        if near := [file for suffix in SUFFIXES if (file := Path(f"{text}{suffix}")).is_file()]:
            hint = f"did you mean the file {quote(str(near[0]))}?"
        raise UsageError("unknown-topology", f"there is no topology {quote(text)}", hint)
    return files[text]


def _given(path: Path, text: str) -> Path:
    """Return the path that was given as `text`, if it is a file."""
    if path.is_dir():
        raise _directory(path, text)
    if not path.exists():
        siblings = [str(path.with_name(file.name)) for file in files_in(path.parent).values()]
        raise UsageError("no-such-file", f"{quote(text)} does not exist", nearest(text, siblings, "files there"))
    return path


def _directory(path: Path, text: str) -> UsageError:
    """Return the error that a directory was named."""
    files = [str(file) for file in files_in(path).values()]
    hint = nearest(text, files, "files there") if files else "name a topology file"
    return UsageError("not-a-file", f"{quote(text)} is a directory", hint)
