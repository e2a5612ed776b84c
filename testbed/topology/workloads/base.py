"""What all kinds of workload share."""

from testbed import units
from testbed.topology.base import Model, key
from testbed.topology.values import Name

SECOND = units.DURATION.parse("1s")

Parameter = int | str | bool | tuple[str, ...]
"""A parameter of a kind, as the plan has it."""


class Ends(Model):
    """What a workload is called and where it goes."""

    name: Name = key("The workload's name, in results and in `expect`")
    source: Name = key("The node that starts; of a stream, the one that sends", alias="from")
    destination: Name = key("The node that listens", alias="to")
    network: Name | None = key("Which network to cross; needed only where the two nodes share several", default=None)


class Workload(Ends):
    """What all kinds share."""

    kind: str = key("What traffic it is")

    @property
    def parameters(self) -> dict[str, Parameter]:
        """The kind's own, by the plan's names; what is left to the plan is not there."""
        own = {name: getattr(self, name) for name in type(self).model_fields if name not in Workload.model_fields}
        return {name: value for name, value in own.items() if value is not None}
