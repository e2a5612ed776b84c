"""A service of a compose file as a node: most keys have the same name and meaning there."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from testbed.importing import values
from testbed.importing.node import NodeMaker
from testbed.importing.source import CHANGED, DECIDE, LEFT_OUT
from testbed.present import as_name
from testbed.topology.problems import quote

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from testbed.topology.document import Path


def translate_service(one: NodeMaker, names: Mapping[str, str], service: str) -> None:
    """Fill in the node of a service.

    Args:
        one: of its node.
        names: the node of each service that becomes one.
        service: its name.
    """
    path = ("services", service)
    keys = one.source.mapping(path)
    _networks(one, path)
    for key in keys:
        at = (*path, key)
        if keys[key] is None:
            continue
        if key == "depends_on":
            _depends_on(one, at, names)
        elif key in _TRANSLATORS:
            _TRANSLATORS[key](one, at)
        elif key in _WITHOUT_COUNTERPART and keys[key] not in (False, [], {}):
            one.source.note(at, LEFT_OUT, "", _WITHOUT_COUNTERPART[key])


def _networks(one: NodeMaker, path: Path) -> None:
    at = (*path, "networks")
    given = one.source.get(at)
    mode = one.source.text((*path, "network_mode"))
    if mode not in ("", "bridge"):
        said = f"a node has networks of its own, and no {quote(mode)}"
        one.source.note((*path, "network_mode"), LEFT_OUT, said, "decide which networks it is on")
    if isinstance(given, dict):
        _long_networks(one, at)
        return
    for index, network in enumerate(one.source.texts(at)):
        one.add("networks", as_name(network), (*at, index))
    if not given:
        one.add("networks", "default", path)


def _long_networks(one: NodeMaker, path: Path) -> None:
    addresses: dict[str, str] = {}
    for network in one.source.mapping(path):
        at = (*path, network)
        addresses[network] = one.source.text((*at, "ipv4_address"))
        for key, value in one.source.mapping(at).items():
            if key == "aliases":
                _aliases(one, (*at, key))
            elif key != "ipv4_address" and value is not None:
                one.source.note((*at, key), LEFT_OUT)
    for network, address in addresses.items():
        if any(addresses.values()):
            one.put("networks", as_name(network), {"address": address} if address else None, (*path, network))
        else:
            one.add("networks", as_name(network), (*path, network))


def _aliases(one: NodeMaker, path: Path) -> None:
    if aliases := [name for name in one.source.texts(path) if name != one.name]:
        said = f"others reach it as {one.name}, not as {', '.join(aliases)}"
        one.source.note(path, LEFT_OUT, said, "change what names it")


def _build(one: NodeMaker, path: Path) -> None:
    source = one.source
    given: dict[str, object] = {}
    if isinstance(source.get(path), dict):
        for key in source.mapping(path):
            if key in ("dockerfile", "target"):
                given[key] = source.text((*path, key))
            elif key == "args":
                given[key] = {name: value for name, value in source.pairs((*path, key)).items() if value is not None}
            elif key != "context":
                source.note((*path, key), LEFT_OUT)
        context, at = source.text((*path, "context")) or ".", (*path, "context")
    else:
        context, at = source.text(path), path
    if "://" in context or context.startswith("git@"):
        source.error(at, "unsupported", "is not a directory of this machine", "clone it, and name the directory")
    given = {"context": values.moved(context, one.base, one.target), **given}
    one.set("build", given["context"] if len(given) == 1 else given, at)


def _env_files(one: NodeMaker, path: Path) -> None:
    given = one.source.get(path)
    for at in [(*path, index) for index in range(len(given))] if isinstance(given, list) else [path]:
        is_long = isinstance(one.source.get(at), dict)
        one.env_file(at, one.source.text((*at, "path") if is_long else at))


def _volumes(one: NodeMaker, path: Path) -> None:
    for index, entry in enumerate(one.source.items(path)):
        at = (*path, index)
        if isinstance(entry, dict):
            _long_volume(one, at)
        else:
            parts = one.source.text(at).split(":")
            read_only = len(parts) > 2 and "ro" in parts[2].split(",")  # noqa: PLR2004
            one.volume(at, parts[0] if len(parts) > 1 else "", parts[min(1, len(parts) - 1)], read_only=read_only)


def _long_volume(one: NodeMaker, at: Path) -> None:
    kind = one.source.text((*at, "type"))
    origin, where = one.source.text((*at, "source")), one.source.text((*at, "target"))
    if kind == "tmpfs":
        size = one.source.text((*at, "tmpfs", "size"))
        one.add("tmpfs", f"{where}:size={size}" if size else where, at)
    elif kind in ("bind", "volume"):
        origin = origin if kind == "volume" or origin.startswith(("/", "~", ".")) else f"./{origin}"
        one.volume(at, origin, where, read_only=one.source.flag((*at, "read_only")))
    else:
        one.source.note(at, LEFT_OUT, f"there are no volumes of type {quote(kind)}")


def _ports(one: NodeMaker, path: Path) -> None:
    for index, entry in enumerate(one.source.items(path)):
        at = (*path, index)
        text = one.source.text(at) if not isinstance(entry, dict) else ""
        if isinstance(entry, dict):
            address, published, protocol = (one.source.text((*at, key)) for key in ("host_ip", "published", "protocol"))
            text = f"{address}:" * bool(address) + f"{published}:" * bool(published or address)
            text += one.source.text((*at, "target")) + f"/{protocol}" * bool(protocol)
        one.ports(at, text)


def _depends_on(one: NodeMaker, path: Path, names: Mapping[str, str]) -> None:
    source = one.source
    given = source.get(path)
    others = list(given) if isinstance(given, dict) else source.texts(path)
    for index, other in enumerate(others):
        at = (*path, other) if isinstance(given, dict) else (*path, index)
        condition = source.text((*at, "condition")) if isinstance(given, dict) else ""
        if other not in source.mapping(("services",)):
            source.error(at, "unknown-service", f"names {quote(other)}, which is no service", "name one of the file")
        elif other not in names:
            source.note(at, LEFT_OUT, f"{other} is not imported")
        elif condition == "service_completed_successfully":
            said = f"waits until {other} has ended, and nodes run as long as the lab"
            hint = f"run what {other} does as setup: of a node, and remove node {names[other]}"
            source.note(at, DECIDE, said, hint)
        else:
            one.put("depends_on", names[other], {"condition": condition or "service_started"}, at)


def _ulimits(one: NodeMaker, path: Path) -> None:
    for name, value in one.source.mapping(path).items():
        one.put("ulimits", name, dict(value) if isinstance(value, dict) else value, (*path, name))


def _extra_hosts(one: NodeMaker, path: Path) -> None:
    given = one.source.get(path)
    for index, text in enumerate(one.source.texts(path) if isinstance(given, list) else one.source.mapping(path)):
        if isinstance(given, list):
            name, _, address = text.partition("=" if "=" in text else ":")
            at: Path = (*path, index)
        else:
            name, address, at = text, one.source.text((*path, text)), (*path, text)
        if address == "host-gateway":
            one.source.note(at, LEFT_OUT, f"{name} would be this machine, to which a node has no name")
        else:
            one.put("extra_hosts", name, address, at)


def _deploy(one: NodeMaker, path: Path) -> None:
    source = one.source
    limits = (*path, "resources", "limits")
    if source.get((*limits, "cpus")) is not None:
        one.cpus((*limits, "cpus"))
    if source.get((*limits, "memory")) is not None:
        one.size((*limits, "memory"), "memory")
    if source.get((*limits, "pids")) is not None:
        one.pids_limit((*limits, "pids"))
    if source.get((*path, "replicas")) is not None:
        _scale(one, (*path, "replicas"))
    for key in source.mapping(path):
        if key not in ("resources", "replicas"):
            source.note((*path, key), LEFT_OUT)


def _scale(one: NodeMaker, path: Path) -> None:
    text = one.source.text(path)
    if not text.isdecimal():
        one.source.error(path, "bad-value", f"is {quote(text)}, must be a number of containers", "write it like 3")
    elif int(text) == 0:
        one.source.note(path, CHANGED, "a node is there at least once", "remove it to have none")
    elif int(text) > 1:
        one.set("count", int(text), path)


def _container_name(one: NodeMaker, path: Path) -> None:
    if (name := one.source.text(path)) != one.name:
        one.source.note(path, LEFT_OUT, f"others reach it as {one.name}, not as {name}", "change what names it")


def _under_its_name(translate: Callable[[NodeMaker, Path, str], None]) -> Callable[[NodeMaker, Path], None]:
    """Return a translator of a key that a node has under the same name."""
    return lambda one, path: translate(one, path, str(path[-1]))


_TRANSLATORS: dict[str, Callable[[NodeMaker, Path], None]] = {
    **dict.fromkeys(
        ("image", "hostname", "user", "working_dir", "platform", "stop_signal", "restart"),
        _under_its_name(NodeMaker.text),
    ),
    **dict.fromkeys(("cap_add", "cap_drop", "dns", "devices", "tmpfs"), _under_its_name(NodeMaker.texts)),
    **dict.fromkeys(("command", "entrypoint"), _under_its_name(NodeMaker.words)),
    **dict.fromkeys(("environment", "labels", "sysctls"), _under_its_name(NodeMaker.pairs)),
    "build": _build,
    "container_name": _container_name,
    "cpus": NodeMaker.cpus,
    "cpuset": _under_its_name(NodeMaker.text),
    "deploy": _deploy,
    "env_file": _env_files,
    "extra_hosts": _extra_hosts,
    "healthcheck": NodeMaker.healthcheck,
    "mem_limit": partial(NodeMaker.size, key="memory"),
    "pids_limit": NodeMaker.pids_limit,
    "ports": _ports,
    "privileged": _under_its_name(NodeMaker.flag),
    "pull_policy": NodeMaker.pull_policy,
    "scale": _scale,
    "shm_size": _under_its_name(NodeMaker.size),
    "ulimits": _ulimits,
    "volumes": _volumes,
}

_OTHERS = """
annotations attach blkio_config cgroup cgroup_parent cpu_count cpu_percent cpu_period cpu_quota cpu_rt_period
cpu_rt_runtime cpu_shares credential_spec develop device_cgroup_rules dns_opt dns_search domainname gpus
group_add init ipc isolation label_file mac_address mem_reservation mem_swappiness memswap_limit models
oom_kill_disable oom_score_adj pid post_start pre_stop provider read_only runtime security_opt
stop_grace_period storage_opt use_api_socket userns_mode uts volumes_from
"""
_LINKS = "nodes on one network reach each other by their names"
_WITHOUT_COUNTERPART: dict[str, str] = {
    **dict.fromkeys(("links", "external_links"), _LINKS),
    "configs": "mount a file: volumes: [./FILE:/PATH:ro]",
    "secrets": "mount a file: volumes: [./FILE:/run/secrets/NAME:ro]",
    **dict.fromkeys(("stdin_open", "tty"), "a shell as its program ends at once: command: [sleep, infinity]"),
    "logging": "testbed logs shows the output",
    **dict.fromkeys(_OTHERS.split(), ""),
}
_WITHOUT_EFFECT = ("expose",)
"""Keys that change nothing."""

SERVICE_KEYS = (
    *_TRANSLATORS,
    *_WITHOUT_COUNTERPART,
    *_WITHOUT_EFFECT,
    "depends_on",
    "extends",
    "network_mode",
    "networks",
    "profiles",
)
