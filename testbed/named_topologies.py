"""Topology files that have a name. Not in `testbed.topology`, which takes long to import: shells complete names."""

from __future__ import annotations

from pathlib import Path

import testbed

SHIPPED = Path(testbed.__file__).with_name("topologies")
"""The topologies that come with the package."""

SUFFIXES = (".yml", ".yaml")


def named() -> dict[str, Path]:
    """Return the files that have a name: those that ship, and those of `topologies/` in the working directory."""
    return files_in(SHIPPED) | files_in(Path("topologies"))


def files_in(directory: Path) -> dict[str, Path]:
    """Return the topology files in `directory`, by name."""
    try:
        return {file.stem: file for file in sorted(directory.iterdir()) if file.suffix in SUFFIXES}
    except OSError:
        return {}
