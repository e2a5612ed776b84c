"""The labs that markers and fixtures request."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pytest

if TYPE_CHECKING:
    from collections.abc import Mapping

OPTIONS = ("runtime", "engine", "seed")
"""The arguments of `testbed.lab.Lab.up` that a marker takes."""

SCOPES = ("function", "class", "module", "package", "session")

_STEM_LENGTH = 20


@dataclass(frozen=True, slots=True)
class WantedLab:
    """A topology and how to bring it up.

    Attributes:
        source: the name of a topology, a file, or a `Topology`.
        options: those of `OPTIONS` that were given.
    """

    source: Any
    options: tuple[tuple[str, Any], ...]

    @classmethod
    def read(cls, source: Any, directory: Path, options: Mapping[str, Any]) -> Self:  # noqa: ANN401  # what users give
        """Return it with the file's path complete.

        Args:
            source: as the marker has it.
            directory: of the test file, where a file is looked for first; then in the working directory.
            options: further arguments.

        Raises:
            pytest.UsageError: there is no such option.
        """
        if unknown := sorted(options.keys() - {*OPTIONS}):
            message = f"a lab takes {', '.join(OPTIONS)} and scope, and not {', '.join(unknown)}"
            raise pytest.UsageError(message)
        if isinstance(source, str | Path) and (directory / source).is_file():
            source = directory / source
        return cls(source, tuple(sorted(options.items())))

    @property
    def key(self) -> object:
        """The value that is equal for two wants if they want the same lab."""
        return self.source if isinstance(self.source, str | Path) else id(self.source), self.options

    @property
    def stem(self) -> str:
        """The part of the lab's name that describes it."""
        text = getattr(self.source, "stem", None) or getattr(self.source, "name", None) or str(self.source)
        stem = re.sub(r"[^a-z0-9]+", "-", text.rsplit("/", 1)[-1].removesuffix(".yml").lower()).strip("-")
        return stem[:_STEM_LENGTH].strip("-") or "lab"
