"""The key `chaos` of the topology file: faults at random times; `chaos_drawing` draws them."""

from typing import Annotated, Literal

from pydantic import Field

from testbed import units
from testbed.topology.base import Model, Short, key
from testbed.topology.values import Name, SomeDuration

ChaosFault = Literal["partition", "pause", "kill", "restart", "loss", "delay", "flap", "dns", "cpus"]


class Mean(Model):
    """A random time, exponentially distributed."""

    mean_ns: SomeDuration = key("Its mean", alias="mean")


Time = Annotated[Mean, Short("mean", {"type": "string", "pattern": units.DURATION.pattern, "examples": ["3s"]})]


_SECOND = Mean.model_construct(mean_ns=1_000_000_000)


class Chaos(Model):
    """Faults at random times, of random kinds, on random nodes and links, all drawn from the seed."""

    faults: Annotated[tuple[ChaosFault, ...], Field(min_length=1)] = key(
        "The kinds of faults to draw from", default=("partition", "pause", "kill", "loss", "delay", "flap")
    )
    every: Time = key("Time from one fault to the next: `3s`, or `{mean: 3s}`; exponentially distributed")
    lasting: Time = key(
        "How long a fault lasts, like `every`", default=Mean.model_construct(mean_ns=1_000_000_000), written="1s"
    )
    until_ns: SomeDuration | None = key(
        "The time when all faults have ended; the end of the workloads unless given", alias="until", default=None
    )
    nodes: tuple[Name, ...] = key(
        "The nodes, or groups, that faults happen to, and to the links between them; all unless given", default=()
    )
    most_down: Annotated[int, Field(strict=True, ge=0)] | None = key(
        "How many of these nodes may be paused, off or cut off at once; less than half of them unless given",
        default=None,
        example=1,
    )
