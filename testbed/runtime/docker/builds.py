"""Images of nodes: built from the directories that the file names, or pulled as it says."""

from __future__ import annotations

import re
import threading
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any

from docker.errors import APIError, ImageNotFound
from docker.utils import parse_repository_tag
from requests.exceptions import RequestException

from testbed.errors import LabError, MachineError
from testbed.runtime import local_files
from testbed.runtime.docker.engine import in_parallel, reason, refusals

if TYPE_CHECKING:
    from collections.abc import Iterator

    from testbed.plan.model import Plan
    from testbed.plan.nodes import Node
    from testbed.runtime import Progress
    from testbed.runtime.docker.engine import DockerEngine

_LAST_LINES = 15

_BUILT = re.compile(r"Successfully built ([0-9a-f]{12,64})")

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
"""What the Docker Engine puts around standard error output of a build."""


def image_of(plan: Plan, node: Node, default: str) -> str:
    """Return the name of a node's image; one that is built has the topology's name, unless the file names it."""
    if node.service.build and not node.image:
        return f"testbed-build/{plan.topology}:{node.name}"
    return node.image or default


def is_present(engine: DockerEngine, image: str) -> bool:
    """Whether the Docker Engine has an image."""
    with refusals(f"image {image}"):
        try:
            engine.api.inspect_image(image)  # type: ignore[no-untyped-call]
        except ImageNotFound:
            return False
    return True


def pull(engine: DockerEngine, image: str, platform: str = "") -> None:
    """Pull an image.

    Raises:
        MachineError: `image-unavailable`.
    """
    repository, tag = parse_repository_tag(image)
    try:
        events = engine.api.pull(repository, tag or "latest", stream=True, decode=True, platform=platform or None)
        problems: list[str] = [event["error"] for event in events if "error" in event]
    except (APIError, RequestException) as error:
        problems = [reason(error)]
    if problems:
        raise MachineError(
            "image-unavailable",
            f"image {image} is missing and can't be pulled: {problems[-1]}",
            f"check its name and that docker pull {image} works, or load it with docker load",
        )


def make(engine: DockerEngine, plan: Plan, default: str, progress: Progress) -> dict[str, str]:
    """Build the images of nodes that have a `build`, pull those that are always to be pulled, and look into them.

    Returns:
        What the container of each node is to be made from: the name of its image, or the id of one that was built,
        because another lab of the same topology may give the name to another image.

    Raises:
        LabError: `build-failed`, with the last lines of its output; `no-healthcheck`.
        MachineError: `image-unavailable`.
    """
    always = {
        (node.image, node.service.platform)
        for node in plan.nodes
        if node.image and node.service.pull_policy == "always" and not node.service.build
    }
    in_parallel(lambda each: pull(engine, *each), sorted(always))
    built = [node for node in plan.nodes if node.service.build]
    one_by_one = threading.Lock()

    def say(line: str) -> None:
        with one_by_one:
            progress(line)

    identities = in_parallel(partial(_build, engine, plan, say), built)
    images = {node.name: image_of(plan, node, default) for node in plan.nodes}
    images |= {node.name: identity for node, identity in zip(built, identities, strict=True)}
    for node in plan.nodes:
        if node.ready and node.ready.healthcheck:
            _require_healthcheck(engine, node, images[node.name])
    return images


def _build(engine: DockerEngine, plan: Plan, progress: Progress, node: Node) -> str:
    """Build a node's image and return its id."""
    build = node.service.build
    assert build is not None  # noqa: S101  # only nodes with one are built
    image = image_of(plan, node, "")
    last: deque[str] = deque(maxlen=_LAST_LINES)
    identity = ""
    try:
        for line in _lines(engine, plan, node, image):
            last.append(line)
            progress(f"build {node.name}: {line}")
            if done := _BUILT.fullmatch(line):
                identity = done[1]
    except (APIError, RequestException, OSError, _BuildError) as error:
        said = str(error) if isinstance(error, _BuildError | OSError) else reason(error)
        wrote = "\n".join(["; its last lines:", *(f"    {line}" for line in last)]) if last else ""
        raise LabError(
            "build-failed",
            f"node {node.name}: the build of {build.context} failed: {said.strip()}{wrote}",
            f"mend {build.dockerfile}; docker build {local_files.located(plan, build.context)} shows all of it",
        ) from None
    return identity or image


class _BuildError(Exception):
    """What the Docker Engine reports in the output of a build."""


def _lines(engine: DockerEngine, plan: Plan, node: Node, image: str) -> Iterator[str]:
    """Build a node's image, and yield the lines of its output."""
    build = node.service.build
    assert build is not None  # noqa: S101  # see above
    options: dict[str, Any] = {"platform": node.service.platform} if node.service.platform else {}
    events = engine.api.build(
        path=str(local_files.located(plan, build.context)),
        dockerfile=build.dockerfile,
        tag=image,
        buildargs=dict(build.args),
        target=build.target or None,
        pull=node.service.pull_policy == "always",
        rm=True,
        forcerm=True,
        decode=True,
        **options,
    )
    partial_line = ""
    for event in events:
        if "error" in event:
            raise _BuildError(event["error"])
        *lines, partial_line = _COLOUR.sub("", partial_line + event.get("stream", "")).split("\n")
        yield from filter(None, map(str.strip, lines))


def _require_healthcheck(engine: DockerEngine, node: Node, image: str) -> None:
    with refusals(f"node {node.name}"):
        inspect = engine.api.inspect_container if node.container else engine.api.inspect_image
        described = inspect(node.container or image)
    test = (described["Config"].get("Healthcheck") or {}).get("Test") or ["NONE"]
    if test == ["NONE"]:
        raise LabError(
            "no-healthcheck",
            f"node {node.name} is to be ready by the HEALTHCHECK of {node.container or image}, which has none",
            "use ready: {tcp: PORT}, or another of its forms",
        )
