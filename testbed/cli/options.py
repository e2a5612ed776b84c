"""Options that several commands share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Callable

F = TypeVar("F", bound="Callable[..., Any]")

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")


def bring_up(command: F) -> F:
    """How a lab is brought up."""
    for option in reversed(
        (
            click.option("--name", metavar="LAB", help="Name of the lab; the topology's unless given."),
            click.option("--runtime", type=click.Choice(["auto", "docker", "netns"]), help="What nodes are made of."),
            click.option(
                "--engine", type=click.Choice(["auto", "netem", "userspace"]), help="What carries the shapes out."
            ),
            click.option("--seed", type=click.IntRange(min=0), help="Where all that is random starts from."),
        )
    ):
        command = option(command)
    return command
