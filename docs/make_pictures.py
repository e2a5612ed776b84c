"""Pictures of real output: run the commands below on a terminal and draw what it shows in the end, as SVG.

python docs/make_pictures.py [NAME...]    makes docs/NAME.svg; all of them unless given

Take them on a machine with nothing else to do: what the commands measure is in the picture.
"""
# ruff: noqa: INP001  # a script, not a package

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import shlex
import struct
import subprocess
import sys
import tempfile
import termios
from pathlib import Path

from rich.console import Console
from rich.text import Text

HERE = Path(__file__).parent
COLUMNS = 112
PICTURES = {
    "run-lossy": "testbed run lossy --runtime netns",
    "tcp-vs-udp": "testbed run tcp-vs-udp --runtime netns",
}

_CONTROL = re.compile(r"\r\n|\n|\r|\x1b\[\??(?P<number>\d*)(?P<what>[A-Zhl])")


def main() -> None:
    """Make the pictures that the command line names."""
    for name in sys.argv[1:] or PICTURES:
        command = PICTURES[name]
        shown = [Text.assemble(("$ ", "dim"), command), *map(Text.from_ansi, last_screen(output(command)))]
        width = max(line.cell_len for line in shown)
        console = Console(record=True, file=io.StringIO(), width=width, force_terminal=True)
        for line in shown:
            console.print(line, no_wrap=True)
        (HERE / f"{name}.svg").write_text(console.export_svg(title="testbed"), "utf-8")
        sys.stdout.write(f"{HERE / name}.svg\n")


def output(command: str) -> str:
    """All that a command of this checkout writes to a terminal; its results go to a directory that is thrown away.

    Raises:
        subprocess.CalledProcessError: it failed.
    """
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, COLUMNS, 0, 0))
    argv = [sys.executable, "-m", *shlex.split(command)]
    with tempfile.TemporaryDirectory() as directory:
        environment = {**os.environ, "TERM": "xterm-256color", "PYTHONPATH": str(HERE.parent)}
        with subprocess.Popen(argv, cwd=directory, env=environment, stdin=theirs, stdout=theirs, stderr=theirs) as run:
            os.close(theirs)
            written = b""
            while data := _read(ours):
                written += data
        os.close(ours)
    if run.returncode:
        raise subprocess.CalledProcessError(run.returncode, argv, written.decode())
    return written.decode()


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 1 << 16)
    except OSError:  # how a terminal tells that nobody is at its other end any more
        return b""


def last_screen(written: str) -> list[str]:
    """The lines, colours included, that are left on a terminal.

    Of what moves the cursor it knows no more than progress bars need: they erase whole lines and go up.
    """
    lines, row, end = [""], 0, 0
    for control in _CONTROL.finditer(written):
        lines[row] += written[end : control.start()]
        end = control.end()
        if control[0] in ("\n", "\r\n"):
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif control["what"] == "A":
            row = max(row - int(control["number"] or 1), 0)
        elif control["what"] == "K":
            lines[row] = ""
    lines[row] += written[end:]
    while not lines[-1]:
        lines.pop()
    return lines


if __name__ == "__main__":
    main()
