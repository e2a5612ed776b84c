"""Removes the containers and networks of a lab, as often as it takes until none is left."""

from __future__ import annotations

import time
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from docker.errors import APIError, NotFound
from tenacity import RetryError, Retrying, retry_if_result, stop_after_delay, wait_exponential

from testbed.errors import LabError
from testbed.runtime.docker.engine import in_parallel, is_passing, patiently, reason, refusals
from testbed.runtime.docker.objects import LAB

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping

    from testbed.runtime.docker.engine import DockerEngine

_REMOVAL_SECONDS = 60
_LATE_SECONDS = 1.0
"""A killed `up` may leave calls in progress; the objects that they create appear within this time."""

_DETACHING_SECONDS = 1.0
"""Removed containers leave their networks a moment later. Disconnecting them by force before that can confuse the
Docker Engine: 20.10 then reports that an empty network "has active endpoints", until the engine restarts."""


def remove_all(
    engine: DockerEngine,
    lab: str,
    *,
    settled: bool,
    with_networks: bool = True,
    seconds: float = _REMOVAL_SECONDS,
) -> None:
    """Remove all containers and networks of a lab until none is left.

    Args:
        engine: the Docker Engine of the lab.
        lab: its name.
        with_networks: remove the networks; else only the containers, because another Docker Engine has the networks.
        seconds: when to give up.
        settled: no command is creating objects any more; otherwise objects that appear within a second are removed too.

    Raises:
        LabError: `not-removed`, with the last errors of the Docker Engine.
    """
    refused: list[str] = []

    def some_left(begun: float) -> bool:
        containers = engine.containers(lab=lab)
        networks = engine.networks(lab=lab) if with_networks else []
        force = time.monotonic() - begun > _DETACHING_SECONDS
        refused.clear()
        _disconnect(engine, containers, {network["Name"] for network in networks})
        in_parallel(partial(_remove_container, engine, refused), [container["Id"] for container in containers])
        in_parallel(partial(_remove_network, engine, refused, force=force), [network["Id"] for network in networks])
        return bool(containers or networks)

    retrying = Retrying(
        retry=retry_if_result(bool),
        wait=wait_exponential(multiplier=0.01, max=1),
        stop=stop_after_delay(seconds),
    )
    try:
        retrying(some_left, time.monotonic())
        if not settled:
            time.sleep(_LATE_SECONDS)
            retrying(some_left, time.monotonic())
    except RetryError:
        raise LabError(
            "not-removed",
            f"parts of lab {lab} still exist after {seconds:.0f} s: {'; '.join(refused) or 'they reappear'}",
            f"docker ps --all --filter label={LAB}={lab} lists its containers",
        ) from None


def remove_container(engine: DockerEngine, name: str) -> None:
    """Remove a container, if it is there.

    Raises:
        LabError: `docker-refused`.
    """
    with refusals(f"container {name}"), suppress(NotFound):
        patiently(engine.api.remove_container, name, v=True, force=True)


def remove_network(engine: DockerEngine, lab: str, name: str) -> None:
    """Remove a network of a lab, if it is there.

    Raises:
        LabError: `docker-refused`.
    """
    for network in engine.networks(lab=lab):
        if network["Name"] == name:
            with refusals(f"network {name}"), suppress(NotFound):
                patiently(engine.api.remove_network, network["Id"])


def _disconnect(engine: DockerEngine, containers: Iterable[Mapping[str, Any]], networks: Container[str]) -> None:
    """Disconnect containers from the lab's networks, one after the other.

    A Docker Engine that removes many endpoints at once sometimes loses count of them (20.10: in 2 of 13 labs of 50
    containers, removed eight at a time; in none of 100 in this order). The network then "has active endpoints" until
    the engine restarts.
    """
    for container in containers:
        for network in container["NetworkSettings"]["Networks"] or ():  # podman: null for a container on none
            if network in networks:
                with suppress(APIError):  # removing the container reports the error, if there is one
                    engine.api.disconnect_container_from_network(container["Id"], network, force=True)


def _remove_container(engine: DockerEngine, refused: list[str], container: str) -> None:
    if engine.is_podman:  # its removal by force sends SIGTERM and waits ten seconds, the Docker Engine's kills
        with suppress(APIError):
            engine.api.kill(container)
    _removal(refused, partial(engine.api.remove_container, container, v=True, force=True))


def _remove_network(engine: DockerEngine, refused: list[str], network: str, *, force: bool) -> None:
    if _removal(refused, partial(engine.api.remove_network, network)) or not force:
        return
    # A foreign container is attached to it, or an endpoint that a crash left behind.
    with suppress(APIError):
        attached: dict[str, Any] = engine.api.inspect_network(network)["Containers"] or {}  # null: an overlay's
        for container in attached:
            engine.api.disconnect_container_from_network(container, network, force=True)


def _removal(refused: list[str], remove: partial[None]) -> bool:
    """Remove an object, or record the error, and return whether the object is gone; the caller tries again."""
    try:
        remove()
    except NotFound:
        pass
    except APIError as error:
        if not is_passing(error):
            refused.append(reason(error))
        return False
    return True
