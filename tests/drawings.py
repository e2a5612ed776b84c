"""Readers of drawings that are not ours, or that know only what the format allows."""

import os
import re
import shutil
import subprocess
from xml.etree import ElementTree as ET

import pytest

SVG = "{http://www.w3.org/2000/svg}"

needs_graphviz = pytest.mark.skipif(
    not shutil.which("dot") and not os.environ.get("CI"), reason="dot is not installed (Debian package graphviz)"
)

_TEXT = r'"(?:[^"#&<>`\\\n]|#[0-9]+;|<br/>)*"'
_SHAPE = rf"(?:\[{_TEXT}\]|\[\[{_TEXT}\]\]|\(\[{_TEXT}\]\)|\{{\{{{_TEXT}\}}\}})"
_NODE = re.compile(rf" {{4}}([ns][0-9]+){_SHAPE}")
_EDGE = re.compile(rf" {{4}}([ns][0-9]+) (?:---|===|==>|<==>|-\.-|-\.->|<-\.->)(?:\|{_TEXT}\|)? ([ns][0-9]+)")


def svg_texts(drawing):
    """The texts of an SVG, by an XML parser."""
    root = ET.fromstring(drawing)  # noqa: S314  # our own
    assert root.tag == f"{SVG}svg"
    assert not [element for element in root.iter() if element.tag in (f"{SVG}script", f"{SVG}foreignObject")]
    return ["".join(element.itertext()) for element in root.iter(f"{SVG}text")]


def dot_graph(drawing):
    """The nodes and edges that Graphviz has read and laid out."""
    done = subprocess.run(["dot", "-Tplain"], input=drawing.encode(), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    assert "syntax" not in done.stderr.decode()
    lines = done.stdout.decode().splitlines()
    return [line for line in lines if line.startswith("node ")], [line for line in lines if line.startswith("edge ")]


def mermaid(drawing):
    """The nodes and edges of a flowchart; every line must be of the part of Mermaid's grammar that we use."""
    head, *lines = drawing.splitlines()
    assert head == "flowchart LR"
    nodes, edges = set(), []
    for line in lines:
        if node := _NODE.fullmatch(line):
            nodes.add(node[1])
        else:
            edge = _EDGE.fullmatch(line)
            assert edge, line
            edges.append(edge.groups())
    assert {end for edge in edges for end in edge} <= nodes
    return nodes, edges
