"""Copies of this machine's files for nodes on other machines: what `volumes` with `:ro` names.

A directory becomes a volume of the Docker Engine, which several nodes may have, and none can write to. A file is put
into the container of each node.
"""

from __future__ import annotations

import tarfile
import tempfile
from functools import partial
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from docker.errors import APIError, NotFound
from docker.types import Mount

from testbed.errors import LabError
from testbed.runtime import local_files
from testbed.runtime.docker import objects, services
from testbed.runtime.docker.engine import in_parallel, reason, refusals

if TYPE_CHECKING:
    from pathlib import Path

    from testbed.plan.model import Plan
    from testbed.plan.nodes import Node
    from testbed.runtime.docker.engine import DockerEngine
    from testbed.services import Volume

_COPY = "testbed.copy"
_PLACE = "/copy"
_IN_MEMORY_BYTES = 1 << 20


def make(engine: DockerEngine, plan: Plan) -> None:
    """Copy the directories that the nodes of a plan have as volumes, each once.

    Raises:
        LabError: `docker-refused`; `not-copied`, a file can't be read.
    """
    sources = {each.source for node in plan.nodes for each in node.service.volumes if _is_directory(plan, each)}
    in_parallel(partial(_make_volume, engine, plan), sorted(sources))


def put_files(engine: DockerEngine, plan: Plan, node: Node, container: str) -> None:
    """Put the single files that a node has as volumes into its container, before it starts.

    Raises:
        LabError: `docker-refused`; `not-copied`.
    """
    for each in node.service.volumes:
        if not _is_directory(plan, each):
            _put(engine, container, local_files.located(plan, each.source), each.target)


def remove(engine: DockerEngine, lab: str) -> None:
    """Remove the copies of a lab, whose containers have gone.

    Raises:
        LabError: `docker-refused`; `not-removed`.
    """
    with refusals("list of volumes"):
        found = engine.api.volumes(filters={"label": [f"{objects.LAB}={lab}", _COPY]})["Volumes"] or []
    for volume in found:
        try:
            engine.api.remove_volume(volume["Name"])
        except NotFound:
            continue
        except APIError as error:
            raise LabError("not-removed", f"volume {volume['Name']} of lab {lab}: {reason(error)}") from None


def _make_volume(engine: DockerEngine, plan: Plan, source: str) -> None:
    """Make a volume, and fill it by way of a container that is not started."""
    name = services.copy_name(plan, source)
    with refusals(f"volume {source}"):
        engine.api.create_volume(name, labels=objects.labels(plan.lab, _COPY, source))
        options = engine.api.create_host_config(mounts=[Mount(_PLACE, name, type="volume", no_copy=True)])
        container = engine.api.create_container(
            objects.OWN_IMAGE, labels=objects.labels(plan.lab, _COPY, source), host_config=options
        )["Id"]
    try:
        _put(engine, container, local_files.located(plan, source), _PLACE)
    finally:
        with refusals(f"volume {source}"):
            engine.api.remove_container(container)


def _put(engine: DockerEngine, container: str, source: Path, target: str) -> None:
    with tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES) as packed:
        try:
            with tarfile.open(fileobj=packed, mode="w") as archive:
                archive.add(source.resolve(), PurePosixPath(target).relative_to("/"))
        except OSError as error:
            raise LabError("not-copied", f"volume {source}: {error}", "copies for other machines need it") from None
        packed.seek(0)
        with refusals(f"volume {source}"):
            engine.api.put_archive(container, "/", packed)


def _is_directory(plan: Plan, volume: Volume) -> bool:
    return local_files.located(plan, volume.source).is_dir()
