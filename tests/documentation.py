"""The code blocks of the documentation, as its tests find them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.conftest import ROOT

if TYPE_CHECKING:
    from pathlib import Path

PAGES = sorted(path for path in (ROOT / "docs").rglob("*.md") if not path.is_symlink())
RUN = ("console", "python", "yaml")
"""Languages of blocks that are run, or saved to be used by those that are."""

_BLOCK = re.compile(
    r'(?P<before>[^\n]*)\n+```(?P<language>\w*)(?: title="(?P<title>[^"]+)")?\n(?P<text>.*?)^```$',
    re.MULTILINE | re.DOTALL,
)
_NOT_RUN = re.compile(r"<!-- not run: .{10,} -->")


@dataclass(frozen=True)
class Block:
    """A fenced block of code; with a title it is a file of that name. `exempt`: the page says why it is not run."""

    language: str
    title: str
    text: str
    exempt: bool


def blocks(page: Path) -> list[Block]:
    """All fenced blocks of a page, in their order."""
    return [
        Block(found["language"], found["title"] or "", found["text"], bool(_NOT_RUN.fullmatch(found["before"])))
        for found in _BLOCK.finditer(page.read_text("utf-8"))
    ]


def session(text: str) -> list[tuple[str, list[str]]]:
    """The commands of a console block, each with the lines of output that are shown below it."""
    commands: list[tuple[str, list[str]]] = []
    for line in text.splitlines():
        if line.startswith("$ "):
            commands.append((line.removeprefix("$ "), []))
        else:
            commands[-1][1].append(line)
    return commands
