"""The keys of command."""

from typing import Annotated, Literal

from pydantic import Field

from testbed.topology.base import key
from testbed.topology.values import Command as CommandWords
from testbed.topology.values import SomeDuration
from testbed.topology.workloads.base import SECOND, Work


class Command(Work):
    """Any program of a node's own; what it writes is kept, and a line that is a JSON object is a sample."""

    kind: Literal["command"] = key("A program of a node's own; a line of its output that is JSON is a sample")
    command: Annotated[CommandWords, Field(min_length=1)] = key("The program and its arguments; no shell sees them")
    timeout_ns: SomeDuration = key(
        "How long it may take; after that it is killed and the run has failed",
        alias="timeout",
        default=60 * SECOND,
        written="60s",
    )
