"""Pictures of real output: of what a terminal shows when a command has ended, as SVG, and of a report, as PNG.

python docs/make_pictures.py [NAME...]    makes docs/NAME.svg or docs/NAME.png; all of them unless given

Take them on a machine with nothing else to do: what the commands measure is in the picture. Reports need Chromium.
"""
# ruff: noqa: INP001  # a script, not a package

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import shlex
import shutil
import struct
import subprocess
import sys
import tempfile
import termios
import zlib
from pathlib import Path

from rich.console import Console
from rich.text import Text

HERE = Path(__file__).parent
COLUMNS = 112
PICTURES = {
    "run-lossy": "testbed run lossy --runtime netns",
    "tcp-vs-udp": "testbed run tcp-vs-udp --runtime netns",
}

REPORTS = {"report": "testbed run tcp-vs-udp --runtime netns"}
"""Of these commands it is the report that is shown."""

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
IN_COLUMNS = """<style>body main { max-width: 2000px; margin: 0; columns: 2; column-gap: 56px; } nav { display: none; }
h2 { break-before: avoid; break-after: avoid; } figure, .panel, .verdict { break-inside: avoid; }</style></head>"""
WIDE, HIGH, SCALE = 2020, 7000, 0.55

_CONTROL = re.compile(r"\r\n|\n|\r|\x1b\[\??(?P<number>\d*)(?P<what>[A-Zhl])")


def main() -> None:
    """Make the pictures that the command line names."""
    for name in sys.argv[1:] or (*PICTURES, *REPORTS):
        with tempfile.TemporaryDirectory() as directory:
            path = picture_of_report(name, directory) if name in REPORTS else picture_of_terminal(name, directory)
        sys.stdout.write(f"{path}\n")


def picture_of_terminal(name: str, directory: str) -> Path:
    """Draw what a terminal shows."""
    command = PICTURES[name]
    written = output(command, directory)
    shown = [Text.assemble(("$ ", "dim"), command), *map(Text.from_ansi, last_screen(written))]
    console = Console(record=True, file=io.StringIO(), width=max(line.cell_len for line in shown), force_terminal=True)
    for line in shown:
        console.print(line, no_wrap=True)
    path = HERE / f"{name}.svg"
    path.write_text(console.export_svg(title="testbed"), "utf-8")
    return path


def picture_of_report(name: str, directory: str) -> Path:
    """Have a browser draw the report of a run, in two columns."""
    output(REPORTS[name], directory)
    page, picture = Path(directory, "page.html"), Path(directory, "page.png")
    page.write_text(Path(directory, "results/latest/report.html").read_text("utf-8").replace("</head>", IN_COLUMNS))
    browser = next(filter(None, map(shutil.which, BROWSERS)))
    options = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--hide-scrollbars",
        f"--user-data-dir={directory}/profile",
    ]
    options += [f"--force-device-scale-factor={SCALE}", f"--window-size={WIDE},{HIGH}", f"--screenshot={picture}"]
    subprocess.run([browser, *options, page.as_uri()], check=True, capture_output=True)
    path = HERE / f"{name}.png"
    path.write_bytes(without_blank_end(picture.read_bytes()))
    return path


def without_blank_end(png: bytes) -> bytes:
    """A PNG of 8 bits a channel (RFC 2083) without the rows at its end that are all the same."""
    at, chunks = 8, []
    while at < len(png):
        (length,) = struct.unpack_from("!I", png, at)
        chunks.append((png[at + 4 : at + 8], png[at + 8 : at + 8 + length]))
        at += 12 + length
    header = next(data for kind, data in chunks if kind == b"IHDR")
    width, height, _, colours = struct.unpack_from("!IIBB", header)
    size = 1 + width * {2: 3, 6: 4}[colours]
    rows = zlib.decompress(b"".join(data for kind, data in chunks if kind == b"IDAT"))
    while height > 1 and rows[(height - 1) * size : height * size] == rows[(height - 2) * size : (height - 1) * size]:
        height -= 1
    kept = (
        (b"IHDR", struct.pack("!II", width, height) + header[8:]),
        (b"IDAT", zlib.compress(rows[: height * size], 9)),
    )
    written = ((kind, data) for kind, data in (*kept, (b"IEND", b"")))
    return png[:8] + b"".join(
        struct.pack("!I", len(data)) + kind + data + struct.pack("!I", zlib.crc32(kind + data))
        for kind, data in written
    )


def output(command: str, directory: str) -> str:
    """All that a command of this checkout writes to a terminal, run in a directory, where its results go.

    Raises:
        subprocess.CalledProcessError: it failed.
    """
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, COLUMNS, 0, 0))
    argv = [sys.executable, "-m", *shlex.split(command)]
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
