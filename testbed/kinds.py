"""What other packages add to the testbed: kinds of workload, by entry points of the kind's name.

A package declares one entry point for each layer that a kind is known to, so that no layer imports what another needs:

| group | is |
|---|---|
| `testbed.topology` | the model of the file, a subclass of `testbed.topology.workloads.Workload` |
| `testbed.metrics` | its metrics, a sequence of `testbed.metrics.Metric` and of names of those that there are |
| `testbed.workloads` | a `testbed.workloads.Kind` |
| `testbed.endpoint` | the module that does it in a node, see `testbed.endpoint.kinds` |
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from testbed.errors import MachineError

if TYPE_CHECKING:
    from collections.abc import Container


def third_party(group: str, *, own: Container[str] = ()) -> dict[str, Any]:
    """The entry points of a group, loaded, by the kind's name.

    Raises:
        MachineError: `broken-plugin`, with the package that declares it: one can't be loaded, or its name is taken.
    """
    from importlib.metadata import entry_points  # noqa: PLC0415 (most processes never ask)

    found: dict[str, Any] = {}
    for each in entry_points(group=group):
        package = each.dist.name if each.dist else each.value
        hint = f"mend or uninstall {package}"
        if each.name in own or each.name in found:
            raise MachineError("broken-plugin", f"{package} adds a kind {each.name!r} that is there already", hint)
        try:
            found[each.name] = each.load()
        except (ImportError, AttributeError) as error:
            raise MachineError(
                "broken-plugin", f"{package} adds a kind {each.name!r} that can't be loaded: {error}", hint
            ) from error
    return found
