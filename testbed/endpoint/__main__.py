"""The endpoint's command line: one spec, see `testbed.endpoint`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from testbed.endpoint import kinds, parameters
from testbed.endpoint.errors import EndpointError, from_os_error
from testbed.endpoint.owner import Owner
from testbed.endpoint.spec import Spec
from testbed.errors import TestbedError

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str]) -> int:
    """Do what the one argument says; the exit status."""
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
    module = kinds.module_of(spec.kind)
    parameters.check(spec.kind, spec.parameters, module.PARAMETERS, one_of=getattr(module, "ONE_OF", frozenset()))
    role = kinds.role_of(spec, module)
    owner.watch()
    if prepare := getattr(module, "prepare", None):
        prepare(spec)
    if spec.role == "initiator":
        owner.await_start()
        owner.progress(0)  # from now on `check` tells that it is alive, however long it waits for the other end
    try:
        role(spec, owner)
    except OSError as error:
        raise from_os_error(error, f"{spec.kind} {spec.role}, {spec.address}:{spec.port}") from error


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
