"""The command line of an endpoint, whose one argument is the spec; see `testbed.endpoint`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from testbed import kinds, parameters
from testbed.endpoint.errors import EndpointError, from_os_error
from testbed.endpoint.owner import Owner
from testbed.endpoint.spec import Spec, invalid
from testbed.errors import TestbedError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

    from testbed.kinds import Kind


def main(arguments: Sequence[str]) -> int:
    """Carry out the spec in the one argument and return the exit status."""
    owner = Owner()
    try:
        _perform(arguments, owner)
    except TestbedError as error:
        owner.emit("error", code=error.code, message=error.message, hint=error.hint)
        return 1
    return 0


def _perform(arguments: Sequence[str], owner: Owner) -> None:
    if len(arguments) != 1:
        raise EndpointError("invalid-spec", f"expected one argument, the spec; found {len(arguments)}")
    spec = Spec.from_json(arguments[0])
    kind = kinds.find(spec.kind)
    if kind is None or not kind.by_endpoint:
        names = ", ".join(name for name, kind in kinds.kinds().items() if kind.by_endpoint)
        raise invalid(f"kind is {spec.kind!r}; kinds are {names}")
    if problem := parameters.problem(kind.name, spec.parameters, kind.parameters, one_of=kind.one_of):
        raise invalid(problem)
    traffic = _traffic(kind)
    role = getattr(traffic, spec.role, None)
    if role is None:
        raise invalid(f"{kind.name} has no {spec.role}")
    owner.watch()
    if prepare := getattr(traffic, "prepare", None):
        prepare(spec)
    if spec.role == "client":
        owner.await_start()
        owner.progress(0)  # from now on `check` reports progress, however long this waits for the other end
    try:
        role(spec, owner)
    except OSError as error:
        raise from_os_error(error, f"{spec.kind} {spec.role}, {spec.authority}") from error


def _traffic(kind: Kind) -> ModuleType:
    """Return the module with a kind's client and server.

    Raises:
        EndpointError: `library-missing`.
    """
    try:
        return kind.part("traffic")
    except ModuleNotFoundError as error:
        raise EndpointError(
            "library-missing",
            f"{kind.name} needs the Python package {error.name}, which the agent's Python has not got",
            "install the testbed's requirements again; in the testbed's image, testbed images does",
        ) from error


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
