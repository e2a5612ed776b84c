"""Counters of links, of engines that are known to have them."""

from dataclasses import asdict
from types import SimpleNamespace

from testbed.engines.counters import Counters


def counted(counters: Counters) -> SimpleNamespace:
    """The counters that an engine has, so none that is None."""
    return SimpleNamespace(**{name: count for name, count in asdict(counters).items() if count is not None})
