"""Frozen parts of a plan that have mappings."""

from __future__ import annotations

from types import MappingProxyType


def freeze(instance: object, *names: str) -> None:
    """Replace the mappings of a frozen dataclass by read-only copies."""
    for name in names:
        object.__setattr__(instance, name, MappingProxyType(dict(getattr(instance, name))))
