"""The notebook of the documentation runs, and shows what it shows on its page."""

import re
import runpy

import nbformat
import pytest

from tests.conftest import ROOT

pytestmark = [pytest.mark.live, pytest.mark.netns]

TOPOLOGY = "mine"
SCRIPT = runpy.run_path(str(ROOT / "docs" / "make_notebook.py"))


def outputs(notebook):
    """What each cell of code shows: `text/html` and so on."""
    return [
        sorted(kind for output in cell.outputs for kind in output.get("data", {output.output_type: None}))
        for cell in notebook.cells
        if cell.cell_type == "code"
    ]


def test_the_notebook_runs_and_shows_tables_and_charts(tmp_path, lab_name):
    stored = nbformat.read(SCRIPT["NOTEBOOK"], as_version=4)
    notebook = nbformat.from_dict(stored)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.source = re.sub(rf"\b{TOPOLOGY}\b", lab_name, cell.source)
            cell.outputs = []
    assert outputs(SCRIPT["executed"](notebook, tmp_path)) == outputs(stored)
    shown = str(notebook)
    for part in (
        f"lab {lab_name}",
        "links, requested: measured",
        "voice (udp-stream)",
        "One-way delay of voice",
        "<svg",
    ):
        assert part in shown
