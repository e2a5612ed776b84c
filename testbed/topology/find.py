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
    if "/" in text or text.endswith(SUFFIXES):
        path = Path(text)
        if path.is_dir():
            raise UsageError("not-a-file", f"{text} is a directory", "name a topology file in it")
        if not path.exists():
            siblings = [str(path.with_name(file.name)) for file in files_in(path.parent).values()]
            raise UsageError("no-such-file", f"{quote(text)} does not exist", nearest(text, siblings, "files there"))
        return path
    files = named()
    if text not in files:
        hint = f"{nearest(text, sorted(files), 'topologies')}; a path is written with its suffix, .yml"
        if near := [file for suffix in SUFFIXES if (file := Path(f"{text}{suffix}")).is_file()]:
            hint = f"did you mean the file {quote(str(near[0]))}?"
        raise UsageError("unknown-topology", f"there is no topology {quote(text)}", hint)
    return files[text]
