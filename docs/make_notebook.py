"""Runs the notebook and stores its outputs: python docs/make_notebook.py.

`tests/live/test_notebook.py` requires that it runs, and that what is stored is what it shows.
"""
# ruff: noqa: INP001  # a script, not a package

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parent / "tutorial" / "in-a-notebook.ipynb"
LIMIT_S = 120


def executed(notebook: nbformat.NotebookNode, directory: Path | str) -> nbformat.NotebookNode:
    """Run the cells of a notebook in a directory, and return it with their outputs."""
    resources = {"metadata": {"path": str(directory)}}
    client = NotebookClient(notebook, timeout=LIMIT_S, kernel_name="python3", resources=resources)
    client.record_timing = False
    client.execute()
    return notebook


def main() -> None:
    """Store the outputs."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    with tempfile.TemporaryDirectory() as directory:
        executed(notebook, directory)
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number}"
    nbformat.write(notebook, NOTEBOOK)
    sys.stdout.write(f"{NOTEBOOK.name}: {len(notebook.cells)} cells\n")


if __name__ == "__main__":
    main()
