"""What Docker Compose will make of its files: the containers and networks of a project that is not up yet."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import TYPE_CHECKING, Any

from testbed.plan.addresses import mac
from testbed.present import Present, PresentAttachment, PresentContainer, PresentNetwork
from testbed.runtime.docker.compose import enabled_profiles

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from testbed.services import ComposeProject

_POOL = IPv4Network("198.18.0.0/15")
_PREFIX = 20
"""Of a subnet that stands for one that the Docker Engine is yet to choose."""

_DEFAULT_MTU = 1500
_SHARED = "service:"


def expected(config: Mapping[str, Any], project: ComposeProject, separator: str, present: Present) -> Present:
    """Return what there will be when a project is up, beside what is there already.

    Addresses, and subnets that the files leave open, are only places for those that the Docker Engine will choose.

    Args:
        config: the merged content of the files.
        project: which they are of.
        separator: between project, service and number in the names of containers.
        present: what is there already.
    """
    networks = _networks(config, project, present)
    subnets = {name: IPv4Network(network.subnet) for name, network in networks.items()}
    free = {name: iter(list(subnet.hosts())[1:4096]) for name, subnet in subnets.items()}
    used: dict[str, set[IPv4Address]] = {name: set(network.used) for name, network in networks.items()}
    containers: dict[str, PresentContainer] = {}
    services = _services(config, project)
    jobs = _jobs(services)
    for service, keys in services.items():
        mode = str(keys.get("network_mode") or "")
        words = [] if mode and mode != "bridge" else _words(keys)
        names = [_network_name(config, project, word) for word in words]
        for number in range(1, _count(keys) + 1):
            attachments = []
            for name in filter(networks.__contains__, names):
                address = next(each for each in free[name] if each not in used[name])
                used[name].add(address)
                attachments.append(PresentAttachment(network=name, address=address, mac=mac(address)))
            container = keys.get("container_name") or separator.join((project.name, service, str(number)))
            containers[container] = PresentContainer(
                name=container,
                project=project.name,
                service=service,
                number=number,
                attachments=tuple(attachments),
                namespace=_namespace(mode, services, project, separator) or container,
                problem=_problem(service, mode, jobs, names, attachments),
            )
    for name, container in containers.items():  # what shares a namespace is where its owner is
        owner = containers.get(container.namespace, container)
        if owner is not container and not container.problem:
            problem = f"shares the network namespace of {owner.name}, which {owner.problem}" if owner.problem else ""
            containers[name] = replace(container, attachments=owner.attachments, problem=problem)
    return Present(
        containers={**present.containers, **containers},
        networks={**present.networks, **{name: replace(networks[name], used=frozenset(used[name])) for name in used}},
        composed=project.name,
    )


def fingerprint(config: Mapping[str, Any], project: ComposeProject) -> str:
    """Return a SHA-256 (hex) of what a project's services are, wherever its files are."""
    directory = str(Path(project.files[0]).parent)
    text = json.dumps(_services(config, project), sort_keys=True, default=str)
    return hashlib.sha256(text.replace(directory, ".").encode()).hexdigest()


def _services(config: Mapping[str, Any], project: ComposeProject) -> dict[str, dict[str, Any]]:
    """The services that are not left out by their profiles; docker-compose 1.29 lists all."""
    enabled = enabled_profiles(project)
    listed: dict[str, dict[str, Any]] = config.get("services") or {}
    return {name: keys for name, keys in listed.items() if not keys.get("profiles") or enabled & {*keys["profiles"]}}


def _jobs(services: Mapping[str, Mapping[str, Any]]) -> set[str]:
    """The services that others wait for until they have ended."""
    found = set()
    for keys in services.values():
        dependencies = keys.get("depends_on")
        if isinstance(dependencies, dict):
            found |= {
                name
                for name, how in dependencies.items()
                if how and how.get("condition") == "service_completed_successfully"
            }
    return found


def _count(keys: Mapping[str, Any]) -> int:
    """How many containers a service has."""
    replicas = (keys.get("deploy") or {}).get("replicas")
    return int(replicas if keys.get("scale") is None and replicas is not None else keys.get("scale", 1))


def _words(keys: Mapping[str, Any]) -> list[str]:
    """What the file calls the networks of a service."""
    return list(keys.get("networks") or ["default"])


def _network_name(config: Mapping[str, Any], project: ComposeProject, word: str) -> str:
    keys = (config.get("networks") or {}).get(word) or {}
    external = keys.get("external")
    if isinstance(external, dict) and "name" in external:
        return str(external["name"])
    return str(keys.get("name") or (word if external else f"{project.name}_{word}"))


def _networks(config: Mapping[str, Any], project: ComposeProject, present: Present) -> dict[str, PresentNetwork]:
    """The bridge networks of a project, by their names in the Docker Engine."""
    services = _services(config, project).values()
    words = {word for keys in services if not keys.get("network_mode") for word in _words(keys)}
    listed = {word: (config.get("networks") or {}).get(word) or {} for word in sorted(words)}
    given = {word: subnet for word, keys in listed.items() if (subnet := _given_subnet(keys))}
    free = _free({*given.values(), *(IPv4Network(network.subnet) for network in present.networks.values())})
    found = {}
    for word, keys in listed.items():
        name = _network_name(config, project, word)
        if keys.get("external"):
            if name in present.networks:
                found[name] = present.networks[name]
        elif keys.get("driver", "bridge") == "bridge":
            subnet = given.get(word) or next(free)
            options = keys.get("driver_opts") or {}
            found[name] = PresentNetwork(
                name=name,
                subnet=str(subnet),
                gateway=str(subnet[1]),
                mtu=int(options.get("com.docker.network.driver.mtu", _DEFAULT_MTU)),
                internal=bool(keys.get("internal")),
                project=project.name,
                word=word,
            )
    return found


def _given_subnet(keys: Mapping[str, Any]) -> IPv4Network | None:
    pools = (keys.get("ipam") or {}).get("config") or ()
    return next((IPv4Network(pool["subnet"]) for pool in pools if ":" not in pool.get("subnet", ":")), None)


def _free(taken: set[IPv4Network]) -> Iterator[IPv4Network]:
    return (each for each in _POOL.subnets(new_prefix=_PREFIX) if not any(each.overlaps(other) for other in taken))


def _namespace(
    mode: str, services: Mapping[str, Mapping[str, Any]], project: ComposeProject, separator: str
) -> str | None:
    """The container whose network namespace a service has; None where that is its own."""
    if not mode.startswith(_SHARED):
        return mode.removeprefix("container:") if mode.startswith("container:") else None
    owner = mode.removeprefix(_SHARED)
    return services.get(owner, {}).get("container_name") or separator.join((project.name, owner, "1"))


def _problem(service: str, mode: str, jobs: set[str], names: list[str], attachments: list[PresentAttachment]) -> str:
    """Why the links of a service can't be impaired."""
    if service in jobs:
        return "is a job: others wait until it has ended (service_completed_successfully), so it is no node"
    if mode == "host":
        return (
            "has the machine's own network (network_mode: host), so it has no port where its packets could be told "
            "from the machine's"
        )
    if mode in ("none", "bridge"):
        return f"is on no network of the project (network_mode: {mode})"
    if not mode and not attachments:
        return f"is on no bridge network with IPv4, which is where links are impaired: it is on {', '.join(names)}"
    return ""
