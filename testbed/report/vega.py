"""Vega-Lite by vl-convert, which brings a JavaScript engine: it draws without a browser and without a network."""

from __future__ import annotations

import functools
import os
import re
import subprocess
import sys
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from testbed.errors import MachineError, UsageError
from testbed.runs.output_files import make_directory

if TYPE_CHECKING:
    from types import ModuleType

Y_LABELS = 54
"""Width of the labels of y axes, pixels."""

CONFIG: dict[str, Any] = {
    "aria": False,
    "background": None,
    "font": "sans-serif",  # the page names better ones; to look for those to measure labels takes four times as long
    "view": {"stroke": None},
    "axis": {
        "labelColor": "var(--soft)",
        "labelFontSize": 11,
        "gridColor": "var(--grid)",
        "domainColor": "var(--line)",
        "tickColor": "var(--line)",
        "titleColor": "var(--soft)",
        "titleFontSize": 11,
        "titleFontWeight": "normal",
        "title": None,
    },
    "axisX": {"labelFlush": True, "labelOverlap": True, "labelPadding": 4, "tickSize": 4, "titleAnchor": "end"},
    "axisY": {"domain": False, "ticks": False, "labelPadding": 6, "minExtent": Y_LABELS, "maxExtent": Y_LABELS},
    "text": {"color": "var(--ink)", "fontSize": 11},
}
"""The look of all charts."""

_NUMBER = re.compile(r"-?\d+\.\d{3,}(?:e-?\d+)?")
_NAMED = re.compile(r"\b(clip|gradient_)(\d+)\b")
_NEEDLESS = re.compile(r' (role|aria-\w+|class|stroke-miterlimit|version|xmlns:xlink)="[^"]*"')
_serial = count()

_BUNDLE = "import sys, vl_convert; sys.stdout.write(vl_convert.javascript_bundle('window.vegaEmbed = vegaEmbed;'))"


def draw(specification: dict[str, Any]) -> str:
    """Return the drawing of a Vega-Lite specification as SVG for a page.

    Raises:
        MachineError: `no-charts`.
    """
    svg: str = _vl_convert().vegalite_to_svg(specification)
    prefix = f"d{next(_serial)}-"  # names must be of one drawing only where several are in one page
    svg = _NAMED.sub(lambda found: f"{prefix}{found[0]}", svg)
    svg = _NUMBER.sub(lambda found: f"{float(found[0]):.2f}".rstrip("0").rstrip("."), svg)
    return _NEEDLESS.sub("", svg)


@functools.cache
def scripts() -> str:
    """Return Vega, Vega-Lite and vega-embed as one script, which draws specifications in a browser.

    It depends on the library's version only, and making it takes a second and 100 MB: it is made in another process,
    and kept in the user's cache.

    Raises:
        MachineError: `no-charts`.
    """
    name = f"vega-{_vl_convert().__version__}.js"
    with suppress(OSError, RuntimeError):
        kept = _cache() / name
        if kept.stat().st_uid == os.geteuid():
            return kept.read_text("utf-8")
    bundle = subprocess.run([sys.executable, "-c", _BUNDLE], capture_output=True, text=True, check=False)
    if bundle.returncode != 0:
        raise MachineError("no-charts", f"the script of the charts could not be made: {bundle.stderr.strip()[-500:]}")
    script = bundle.stdout.replace("</script", "<\\/script")
    with suppress(OSError, RuntimeError, UsageError):  # it is made again next time
        make_directory(_cache())
        new = _cache() / f"{name}.{os.getpid()}"  # others may make it at the same time
        new.write_text(script, "utf-8")
        new.replace(_cache() / name)
    return script


def _cache() -> Path:
    """Return the directory for what can be made again; RuntimeError where the user has no home."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "testbed"


def _vl_convert() -> ModuleType:
    """Import the library, which takes long, only when a page is made."""
    try:
        import vl_convert  # noqa: PLC0415
    except ImportError as error:
        raise MachineError(
            "no-charts",
            f"the charts of reports need the package vl-convert-python: {error}",
            "pip install vl-convert-python; of the project's images, testbed-controller has it",
        ) from error
    return vl_convert
