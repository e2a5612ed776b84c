"""Directories that others make and remove while we look."""

import os
from pathlib import Path


def below(place):
    """All directories below one, the deepest first, without those that go meanwhile: Path.glob fails at these."""
    return [Path(found) for found, _, _ in os.walk(place, topdown=False) if found != str(place)]
