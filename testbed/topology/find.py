"""Finding the topology file that a user names."""

from pathlib import Path

import testbed
from testbed.errors import UsageError
from testbed.topology.problems import nearest, quote

SHIPPED = Path(testbed.__file__).with_name("topologies")
"""The topologies that come with the package."""

_SUFFIXES = (".yml", ".yaml")


def find(name_or_path: str | Path) -> Path:
    """Return the file that `name_or_path` names.

    Args:
        name_or_path: a path (anything with a slash or with `.yml` or `.yaml` at its end), or the name of one of
            `topologies/` in the working directory or, where that has none of the name, of those that ship.

    Raises:
        UsageError: there is no such file.
    """
    text = str(name_or_path)
    if "/" in text or text.endswith(_SUFFIXES):
        path = Path(text)
        if path.is_dir():
            raise UsageError("not-a-file", f"{text} is a directory", "name a topology file in it")
        if not path.exists():
            siblings = [str(path.with_name(file.name)) for file in _files(path.parent).values()]
            raise UsageError("no-such-file", f"{quote(text)} does not exist", nearest(text, siblings, "files there"))
        return path
    files = named()
    if text not in files:
        hint = f"{nearest(text, sorted(files), 'topologies')}; a path is written with its suffix, .yml"
        if near := [file for suffix in _SUFFIXES if (file := Path(f"{text}{suffix}")).is_file()]:
            hint = f"did you mean the file {quote(str(near[0]))}?"
        raise UsageError("unknown-topology", f"there is no topology {quote(text)}", hint)
    return files[text]


def named() -> dict[str, Path]:
    """Return the files that have a name: those that ship, and those of `topologies/` in the working directory."""
    return _files(SHIPPED) | _files(Path("topologies"))


def _files(directory: Path) -> dict[str, Path]:
    """Return the topology files in `directory`, by name."""
    try:
        return {file.stem: file for file in sorted(directory.iterdir()) if file.suffix in _SUFFIXES}
    except OSError:
        return {}
