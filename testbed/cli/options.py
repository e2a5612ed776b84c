"""Options that several commands share."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from testbed import engines
from testbed.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from testbed.plan import Plan
    from testbed.topology import Topology

kept = click.option(
    "--results",
    "root",
    type=click.Path(path_type=Path),
    default="results",
    show_default=True,
    help="Directory of all runs.",
)

check_budget = click.option(
    "--check-budget",
    metavar="SECONDS",
    type=click.FloatRange(min=0, min_open=True),
    help="Time limit for measuring the links; links for which no time is left are not measured.  [default: 20]",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BringUp:
    """The options that take the place of a file's own settings; None keeps the file's.

    Attributes:
        name: of the lab.
        runtime: `auto`, `docker` or `netns`.
        engine: `auto`, or an engine's name.
        seed: from which all random numbers derive.
    """

    name: str | None
    runtime: str | None
    engine: str | None
    seed: int | None

    @property
    def as_the_file_says(self) -> bool:
        """Whether no option is given."""
        return self == BringUp(name=None, runtime=None, engine=None, seed=None)

    def resolve(self, topology: Topology) -> Plan:
        """Return the plan of a topology, with these options in place of the file's settings."""
        from testbed import lab  # noqa: PLC0415  # most commands need none

        return lab.resolve(topology, lab=self.name, runtime=self.runtime, engine=self.engine, seed=self.seed)


def key_values(words: Sequence[str], example: str = "delay=40ms") -> dict[str, str]:
    """Return words of the form KEY=VALUE as a mapping.

    Raises:
        UsageError: `not-key-value`, `duplicate-key`.
    """
    found: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            raise UsageError("not-key-value", f"{word!r} is not of the form KEY=VALUE", f"write it like {example}")
        if key in found:
            raise UsageError("duplicate-key", f"{key} is given twice", "leave one of them out")
        found[key] = value
    return found


def bring_up(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of `BringUp` to a command, which gets them as its argument `how`."""

    @click.option("--name", metavar="LAB", help="Name of the lab; by default the topology's.")
    @click.option(
        "--runtime",
        type=click.Choice(["auto", "docker", "netns"]),
        help="What nodes are made of: containers or network namespaces.",
    )
    @click.option(
        "--engine", type=click.Choice(engines.CHOICES), help="What applies the impairments: the kernel or a program."
    )
    @click.option("--seed", metavar="N", type=click.IntRange(min=0), help="Seed of all random numbers.")
    @functools.wraps(command)
    def collecting(
        *args: object, name: str | None, runtime: str | None, engine: str | None, seed: int | None, **others: object
    ) -> object:
        return command(*args, how=BringUp(name=name, runtime=runtime, engine=engine, seed=seed), **others)

    return collecting
