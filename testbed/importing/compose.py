"""Compose files (https://github.com/compose-spec/compose-spec/blob/main/spec.md) as topologies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed.importing.compose_services import SERVICE_KEYS, translate_service
from testbed.importing.draft import Draft
from testbed.importing.node import NodeMaker
from testbed.importing.source import CHANGED, LEFT_OUT, Source
from testbed.present import as_name

if TYPE_CHECKING:
    from pathlib import Path as FilePath

    from testbed.topology.document import Path

_TOP = ("version", "name", "services", "networks", "volumes", "configs", "secrets", "include", "models")
_NETWORK = (
    "attachable",
    "driver",
    "driver_opts",
    "enable_ipv4",
    "enable_ipv6",
    "external",
    "internal",
    "ipam",
    "labels",
    "name",
)
_MTU = "com.docker.network.driver.mtu"
_RESOLVE = "`docker compose config` prints the file with all of that resolved; import what it prints"


def translated(source: Source, base: FilePath, target: FilePath) -> Draft:
    """Return the topology of a compose file; errors are in `source`.

    Args:
        source: the file.
        base: its directory.
        target: the directory of the topology file.
    """
    source.only((), _TOP)
    draft = Draft(name=as_name(source.text(("name",)) or base.absolute().name))
    if source.get(("include",)) is not None:
        source.error(("include",), "unsupported", "names other files", _RESOLVE, at_key=True)
    services = source.mapping(("services",))
    if not services and not source.errors:
        source.error(("services",), "missing-key", "has no service", "name at least one")
    names = _names(source, services)
    for service in names:
        path = ("services", service)
        source.only(path, SERVICE_KEYS)
        if source.get((*path, "image")) is None and source.get((*path, "build")) is None:
            source.error(path, "missing-key", "has neither image nor build", "give it one", at_key=True)
        if source.get((*path, "extends")) is not None:
            source.error((*path, "extends"), "unsupported", "takes over another service", _RESOLVE, at_key=True)
    _networks(source, draft, names)
    if source.errors:
        return draft
    for service, node in names.items():
        draft.nodes[node] = {}
        draft.origins["nodes", node] = ("services", service)
    for service in names:
        one = NodeMaker(source=source, draft=draft, name=names[service], base=base, target=target)
        translate_service(one, names, service)
    _healthy(draft)
    return draft


def _names(source: Source, services: dict[str, object]) -> dict[str, str]:
    """Return the name of the node that each service becomes; services with profiles become none."""
    names: dict[str, str] = {}
    for service in services:
        path = ("services", service)
        if source.get((*path, "profiles")):
            profiles = ", ".join(source.texts((*path, "profiles")))
            said = f"a service with profiles ({profiles}) does not start unless asked for"
            source.note(path, LEFT_OUT, said, "remove profiles: to import it")
            continue
        node = as_name(service)
        if node in names.values():
            source.error(
                path, "duplicate-name", f"would be node {node}, as another one", "give it another name", at_key=True
            )
        elif node != service:
            said = f"it is node {node} here, and others reach it by that name only"
            source.note(path, CHANGED, said, "change what names it, such as environment variables")
        names[service] = node
    if services and not names:
        source.error(("services",), "missing-key", "has only services with profiles", "remove profiles: of some")
    return names


def _networks(source: Source, draft: Draft, names: dict[str, str]) -> None:
    """Add the networks that services are on. Compose's lead outside unless they are internal."""
    used: dict[str, Path] = {}
    for service in names:
        at = ("services", service, "networks")
        given = source.get(at)
        on = list(given) if isinstance(given, dict) else source.texts(at)
        for index, network in enumerate(on):
            where: Path = (*at, network) if isinstance(given, dict) else (*at, index)
            if network != "default" and network not in source.mapping(("networks",)):
                hint = "add it to networks: at the top"
                source.error(where, "unknown-network", "names a network that is not at the top", hint)
            used.setdefault(network, where)
        if not on:
            used.setdefault("default", ("services", service))
    for network in source.mapping(("networks",)):
        if network not in used:
            source.note(("networks", network), LEFT_OUT, "no service is on it")
    for network, where in used.items():
        path = ("networks", network)
        draft.origins["networks", as_name(network)] = path if network in source.mapping(("networks",)) else where
        draft.networks[as_name(network)] = _network(source, draft, network)


def _network(source: Source, draft: Draft, network: str) -> dict[str, object]:
    path: Path = ("networks", network)
    source.only(path, _NETWORK)
    external = source.get((*path, "external"))
    if external not in (None, False):
        named = source.text((*path, "external", "name")) if isinstance(external, dict) else source.text((*path, "name"))
        return {"present": named or network}
    keys: dict[str, object] = {}
    if not source.flag((*path, "internal")):
        keys["internal"] = False
    if subnet := _subnet(source, draft, path):
        keys["subnet"] = subnet
    options = source.pairs((*path, "driver_opts"))
    for option, value in options.items():
        if option == _MTU and value and value.isdecimal():
            keys["mtu"] = int(value)
            draft.origins["networks", as_name(network), "mtu"] = (*path, "driver_opts", option)
        else:
            source.note((*path, "driver_opts", option), LEFT_OUT)
    if source.text((*path, "driver")) not in ("", "bridge"):
        source.note((*path, "driver"), CHANGED, "a network is a bridge here")
    for key in ("enable_ipv6", "name"):
        if source.get((*path, key)) not in (None, False):
            source.note((*path, key), LEFT_OUT)
    return keys


def _subnet(source: Source, draft: Draft, path: Path) -> str:
    """Return the first IPv4 subnet of a network; empty where there is none."""
    found = ""
    for index in range(len(source.items((*path, "ipam", "config")))):
        at = (*path, "ipam", "config", index)
        subnet = source.text((*at, "subnet"))
        if subnet and not found and ":" not in subnet:
            found = subnet
            draft.origins["networks", as_name(str(path[-1])), "subnet"] = (*at, "subnet")
        elif subnet:
            source.note((*at, "subnet"), LEFT_OUT, "a network has one subnet here, of IPv4")
        for key in ("gateway", "ip_range", "aux_addresses"):
            if source.get((*at, key)) is not None:
                hint = "the gateway is the first address of the subnet" if key == "gateway" else ""
                source.note((*at, key), LEFT_OUT, "", hint)
    return found


def _healthy(draft: Draft) -> None:
    """Give nodes that others wait for, and that have no `ready`, the HEALTHCHECK of their image."""
    for node in list(draft.nodes):
        dependencies = draft.nodes[node].get("depends_on")
        for other, keys in dependencies.items() if isinstance(dependencies, dict) else ():
            if keys.get("condition") == "service_healthy" and "ready" not in draft.nodes[other]:
                ready = {"healthcheck": True, "timeout": "60s"}
                draft.set(other, "ready", ready, draft.origins["nodes", node, "depends_on", other])
