"""What podman can't do, and what it has to be told beside what the Docker Engine is."""

from __future__ import annotations

import pytest

from testbed import plan
from testbed.errors import MachineError
from testbed.runtime.docker import podman
from testbed.topology import loads


def test_podman_without_root_is_refused_with_the_reason():
    podman.require_root({"Rootless": False}, "podman 4.3.1")
    with pytest.raises(MachineError, match=r"podman 4\.3\.1: it runs without root(.|\n)*--runtime netns") as refused:
        podman.require_root({"Rootless": True}, "podman 4.3.1")
    assert refused.value.exit_code == 3


def test_the_hosts_file_names_the_neighbours_by_the_addresses_of_shared_networks():
    text = """
name: three
networks: {left: {subnet: 198.18.1.0/24}, right: {subnet: 198.18.2.0/24}}
nodes: {a: {networks: [left]}, middle: {networks: [left, right]}, b: {networks: [right]}}
"""
    resolved = plan.resolve(loads(text, "three.yml"))
    found = {node.name: podman.hosts_entries(resolved, node) for node in resolved.nodes}
    assert found == {
        "a": ["middle:198.18.1.3"],
        "middle": ["a:198.18.1.2", "b:198.18.2.3"],
        "b": ["middle:198.18.2.2"],
    }
