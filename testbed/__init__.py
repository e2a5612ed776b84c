"""A containerised multi-node network testbed whose links are provably as bad as requested.

The public API; each name is imported when it is used:

    import testbed

    with testbed.Lab.up("lossy") as lab:
        run = lab.run()
        print(run["download"].goodput, run.trusted)
"""

from __future__ import annotations

from importlib import import_module

__version__ = "0.2.0"

_PLACES = {
    "Lab": ("testbed.lab", "Lab"),
    "Link": ("testbed.lab", "LinkHandle"),
    "Node": ("testbed.lab", "NodeHandle"),
    "Run": ("testbed.runs", "Run"),
    "Topology": ("testbed.topology", "Topology"),
    "build": ("testbed.topology", "build"),
    "charts": ("testbed.report.notebook", "charts"),
}
"""Where each name is; `__init__.pyi` has their types."""

_MODULES = ("lab", "pytest", "runs", "topology")
"""Modules that are imported when they are used: `testbed.runs.load("lossy")`."""


def __getattr__(name: str) -> object:
    if name in _MODULES:
        return import_module(f"testbed.{name}")
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _PLACES[name]
    return getattr(import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted({*globals(), *_PLACES, *_MODULES})
