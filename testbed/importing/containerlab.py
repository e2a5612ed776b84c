"""Containerlab's files (https://containerlab.dev/manual/topo-def-file) as topologies. Links between nodes become wires.

A node takes values from its group, its kind and the defaults. Its network for management has no counterpart: a node is
on a network `mgmt` only if it publishes ports, or has no links.
"""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

from testbed.importing.containerlab_links import translate_links
from testbed.importing.draft import Draft
from testbed.importing.node import NodeMaker
from testbed.importing.source import CHANGED, DECIDE, LEFT_OUT
from testbed.present import as_name
from testbed.topology.problems import quote

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path as FilePath

    from testbed.importing.source import Source
    from testbed.topology.document import Path

_NODES: Path = ("topology", "nodes")
_SWITCHES = ("bridge", "ovs-bridge")
_PLAIN = ("linux", "frr")
"""Kinds whose nodes are containers that need nothing but being started."""

_TRANSLATED = {
    "image": "image",
    "cmd": "command",
    "entrypoint": "entrypoint",
    "user": "user",
    "cpu": "cpus",
    "cpu-set": "cpuset",
    "memory": "memory",
    "shm-size": "shm_size",
    "restart-policy": "restart",
    "image-pull-policy": "pull_policy",
    "healthcheck": "ready",
}
"""Keys of which the most specific value counts."""

_MERGED = {
    "env": "environment",
    "labels": "labels",
    "sysctls": "sysctls",
    "binds": "volumes",
    "env-files": "env_file",
    "cap-add": "cap_add",
    "devices": "devices",
    "exec": "setup",
    "ports": "ports",
}
"""Keys whose values at all levels count."""

_OTHERS = """
SANs aliases auto-remove certificate components config enforce-startup-config extras kernel publish
runtime sandbox security-opt suppress-startup-config tmpfs type
"""
_WITHOUT_COUNTERPART = {
    "startup-config": "mount it where the image reads it: volumes: [./FILE:/PATH:ro]",
    "license": "mount it where the image reads it: volumes: [./FILE:/PATH:ro]",
    "mgmt-ipv4": "there is no network for management",
    "mgmt_ipv4": "there is no network for management",
    "mgmt-ipv6": "there is no network for management",
    "mgmt_ipv6": "there is no network for management",
    "stages": "depends_on: says which nodes come first",
    "wait-for": "depends_on: says which nodes come first",
    "startup-delay": "depends_on: says which nodes come first",
    "network-mode": "decide which networks it is on",
    **dict.fromkeys(_OTHERS.split(), ""),
}
_NODE_KEYS = (*_TRANSLATED, *_MERGED, *_WITHOUT_COUNTERPART, "dns", "group", "kind", "position")
_VARIABLE = "__IMPORT_ENVS"
_FORWARDING = "net.ipv4.ip_forward"
_TWO = 2
"""Links that it takes to forward something."""
_HOSTS = ("linux",)
"""Kinds whose nodes route nothing unless their image does."""
_ROUTING = re.compile(r"frr|quagga|bird|bgpd|gobgp|vyos")
"""In the name of an image: it has a daemon that routes."""


def translated(source: Source, base: FilePath, target: FilePath) -> Draft:
    """Return the topology of a containerlab file; errors are in `source`.

    Args:
        source: the file.
        base: its directory.
        target: the directory of the topology file.
    """
    source.only((), ("name", "prefix", "mgmt", "settings", "topology", "debug"))
    source.only(("topology",), ("defaults", "kinds", "groups", "nodes", "links"))
    draft = Draft(name=as_name(source.text(("name",)) or base.absolute().name))
    for path in [("mgmt",), ("prefix",), ("settings",)]:
        if source.get(path) not in (None, {}):
            source.note(path, LEFT_OUT, "" if path != ("mgmt",) else "there is no network for management")
    given = source.mapping(_NODES)
    if not given and not source.errors:
        source.error(_NODES, "missing-key", "has no node", "name at least one")
    names: dict[str, str] = {}
    switches: dict[str, str] = {}
    for written in given:
        kind, where = _kind(source, written)
        node = as_name(written)
        if node in (*names.values(), *switches.values()):
            source.error(
                (*_NODES, written), "duplicate-name", f"would be {node}, as another one", "rename it", at_key=True
            )
        if kind == "host":
            source.note((*_NODES, written), LEFT_OUT, "this machine is no node")
            continue
        (switches if kind in _SWITCHES else names)[written] = node
        _mention(source, written, kind, where)
    for switch, name in switches.items():
        draft.networks[name] = {}
        draft.origins["networks", name] = (*_NODES, switch)
    for written, node in names.items():
        draft.nodes[node] = {}
        draft.origins["nodes", node] = (*_NODES, written)
    _mention_containers(source, names)
    interfaces = translate_links(source, draft, names, switches)
    for written, node in names.items():
        one = NodeMaker(source=source, draft=draft, name=node, base=base, target=target)
        _node(one, written, interfaces.get(written, set()))
    return draft


def _mention_containers(source: Source, names: Iterable[str]) -> None:
    """Say what all containers of containerlab have and nodes have not: privileges, and a terminal for a shell."""
    said = "containerlab's nodes have all privileges, and these have Docker's defaults"
    hint = "cap_add: [NET_ADMIN] lets a node change its network, privileged: true lets it do all"
    source.note(_NODES, CHANGED, said, hint)
    if idle := [written for written in names if not any(source.get((*at, "cmd")) for at in _levels(source, written))]:
        said = f"a shell as the program of a container ends at once here: {', '.join(idle)} may have one"
        source.note(_NODES, DECIDE, said, "command: [sleep, infinity] keeps a node up")


def _levels(source: Source, written: str) -> list[Path]:
    """Return where a node's values come from, the most specific first."""
    node: Path = (*_NODES, written)
    group = source.text((*node, "group"))
    groups: list[Path] = [("topology", "groups", group)] if group else []
    for level in (*groups, ("topology", "defaults")):
        if kind := source.text((*node, "kind")) or source.text((*level, "kind")):
            return [node, *groups, ("topology", "kinds", kind), ("topology", "defaults")]
    return [node, *groups, ("topology", "defaults")]


def _kind(source: Source, written: str) -> tuple[str, Path]:
    """Return the kind of a node, and where that is said."""
    for level in _levels(source, written):
        if level[:2] != ("topology", "kinds") and (kind := source.text((*level, "kind"))):
            return kind, (*level, "kind")
    hint = "give it one, or give one to defaults:"
    source.error((*_NODES, written), "missing-key", "has no kind", hint, at_key=True)
    return "linux", (*_NODES, written)


def _mention(source: Source, written: str, kind: str, where: Path) -> None:
    """Say what is not as it seems about a node's name and kind."""
    if (node := as_name(written)) != written:
        said = f"it is node {node} here, and others reach it by that name only"
        source.note((*_NODES, written), CHANGED, said)
    if kind not in (*_PLAIN, *_SWITCHES):
        said = f"kind {kind} has its own way to start, which a topology has not: its image is started as any other"
        source.note(where, DECIDE, said, "take an image that needs no such help")


def _node(one: NodeMaker, written: str, interfaces: set[str]) -> None:
    source, levels = one.source, _levels(one.source, written)
    for level in levels:
        source.only(level, _NODE_KEYS)
    for key, name in _TRANSLATED.items():
        path = next(((*level, key) for level in levels if source.get((*level, key)) is not None), None)
        if path is not None:
            _translate(one, path, name)
    for level in reversed(levels):
        _level(one, level, interfaces)
    _router(one, written, levels)
    if "image" not in one.draft.nodes[one.name]:
        source.note((*_NODES, written), DECIDE, "it has no image here, and gets the testbed's own", "write image:")
    if "ports" in one.draft.nodes[one.name] or not interfaces:
        one.draft.networks.setdefault("mgmt", {"internal": False})
        one.draft.origins.setdefault(("networks", "mgmt"), ("mgmt",) if source.get(("mgmt",)) else (*_NODES, written))
        one.add("networks", "mgmt", (*_NODES, written))


def _level(one: NodeMaker, level: Path, interfaces: set[str]) -> None:
    """Add what one level has to values that are merged, and say what has no counterpart."""
    for key, value in one.source.mapping(level).items():
        if key in _MERGED and value is not None:
            _merge(one, (*level, key), _MERGED[key], interfaces)
        elif key in _WITHOUT_COUNTERPART and value not in (None, False, [], {}):
            one.source.note((*level, key), LEFT_OUT, "", _WITHOUT_COUNTERPART[key])
    _name_servers(one, (*level, "dns"))


def _router(one: NodeMaker, written: str, levels: list[Path]) -> None:
    """Make the node a router if it forwards: its kind or image routes by itself, or it says so."""
    path: Path = (*_NODES, written)
    networks = one.draft.nodes[one.name].get("networks")
    wires = [link for link in one.draft.links if isinstance(ends := link["wire"], list) and one.name in ends]
    if len(wires) + (len(networks) if isinstance(networks, list) else 0) < _TWO:
        return
    kind, _ = _kind(one.source, written)
    image = next((text for level in levels if (text := one.source.text((*level, "image")))), "")
    sysctls = one.draft.nodes[one.name].get("sysctls")
    if kind not in _HOSTS or _ROUTING.search(image):
        one.set("router", {"routing": "none"}, path)
        said = "it is a router whose own daemon finds the routes (routing: none)"
        one.source.note(path, DECIDE, said, "router: true has them computed")
        if isinstance(sysctls, dict):
            sysctls.pop(_FORWARDING, None)
    elif isinstance(sysctls, dict) and sysctls.pop(_FORWARDING, "0") == "1":
        one.set("router", value=True, origin=path)
    elif "router" not in one.draft.nodes[one.name]:
        one.source.note(
            path, DECIDE, "it has several links, and forwards nothing between them", "router: true makes it a router"
        )
    if sysctls == {}:
        one.draft.remove(("nodes", one.name, "sysctls"))


def _translate(one: NodeMaker, path: Path, name: str) -> None:
    """Give the node the key `name`."""
    if name in ("command", "entrypoint"):
        one.words(path, name)
    elif name in ("memory", "shm_size"):
        one.size(path, name, kilo=1000)
    elif name == "cpus":
        one.cpus(path)
    elif name == "pull_policy":
        one.pull_policy(path)
    elif name == "ready":
        one.healthcheck(path, start_key="start-period")
    else:
        one.text(path, name)


def _merge(one: NodeMaker, path: Path, name: str, interfaces: set[str]) -> None:
    """Add to the node's key `name`."""
    source = one.source
    if name in ("environment", "labels", "sysctls"):
        one.pairs(path, name)
        if name == "environment" and one.draft.nodes[one.name].get(name, {}):
            _drop_imported_variables(one, path)
        return
    for index, text in enumerate(source.texts(path)):
        at = (*path, index)
        if name == "volumes":
            _bind(one, at, text)
        elif name == "env_file":
            one.env_file(at, text)
        elif name == "ports":
            one.ports(at, text)
        elif name == "setup":
            _command(one, at, text, interfaces)
        else:
            one.add(name, text, at)


def _drop_imported_variables(one: NodeMaker, path: Path) -> None:
    variables = one.draft.nodes[one.name]["environment"]
    if isinstance(variables, dict) and variables.pop(_VARIABLE, None) is not None:
        said = "a node has no variables of this machine"
        one.source.note((*path, _VARIABLE), LEFT_OUT, said, "write those that it needs to environment:")
        if not variables:
            one.draft.remove(("nodes", one.name, "environment"))


def _bind(one: NodeMaker, at: Path, text: str) -> None:
    parts = text.split(":")
    if "__clab" in text:
        one.source.note(at, LEFT_OUT, "the directory of a lab is containerlab's", "put the file beside the topology")
    elif len(parts) == 1:
        one.volume(at, "", text, read_only=False)
    else:
        read_only = len(parts) > 2 and "ro" in parts[2].split(",")  # noqa: PLR2004
        origin = parts[0] if parts[0].startswith(("/", "~", ".")) else f"./{parts[0]}"
        one.volume(at, origin, parts[1], read_only=read_only)


def _command(one: NodeMaker, at: Path, text: str, interfaces: set[str]) -> None:
    """A command of `exec` as one of `setup`, unless it is about addresses and routes, which a plan chooses."""
    words = one.split(at)
    named = sorted({word for word in re.findall(r"[\w./-]+", text) if word in interfaces})
    if named:
        said = f"{', '.join(named)} has another name here, and addresses are the plan's"
        one.source.note(at, LEFT_OUT, said, "testbed show lists them; subnet: of a wire chooses them")
    elif words[:2] in (["ip", "route"], ["ip", "r"], ["ip", "ro"]) or words[:1] == ["route"]:
        one.source.note(at, LEFT_OUT, "routes are computed", "write routes: for others")
    elif words[0:1] == ["sysctl"] and f"{_FORWARDING}=1" in words:
        one.set("router", value=True, origin=at)
    elif words:
        one.add("setup", words, at)
        if words[0] in ("ip", "sysctl", "tc", "iptables", "nft", "ethtool", "ifconfig", "bridge"):
            said = f"{quote(shlex.join(words[:2]))} needs NET_ADMIN, which the node has for it"
            one.source.note(at, CHANGED, said)
            one.add("cap_add", "NET_ADMIN", at)


def _name_servers(one: NodeMaker, path: Path) -> None:
    for key in one.source.mapping(path):
        if key == "servers":
            one.texts((*path, key), "dns")
        else:
            one.source.note((*path, key), LEFT_OUT)
