"""A topology to begin with, as `testbed init` writes it."""

from __future__ import annotations

import re
from pathlib import Path

from testbed.errors import UsageError

COMPOSE_FILES = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")
"""In the order in which Docker Compose looks for them."""

_LONGEST_NAME = 32

PYTHON_PROJECT = ("pyproject.toml", "setup.py", "setup.cfg")

_OWN = """\
# A small network. testbed run {file} brings it up, measures its links, runs its workloads, and takes it down.
# Every key: testbed schema, or docs/reference/topology-files.md. Editors complete keys with that schema.
name: {name}
description: A client and a server, 40 ms and a few lost packets apart

# Nodes are containers or network namespaces of this machine. Give one your own program:
#   server: {{image: my-image}}               a container
#   server: {{command: python3 server.py}}    a program of this machine, with --runtime netns
nodes:
  client:
  server:

# The impairments between two nodes, in both directions. Also: jitter, rate, queue, reorder, duplicate, corrupt.
links:
  - {{between: [client, server], delay: 20ms, loss: 1%}}

# Traffic. testbed metrics lists the kinds, and what each measures.
workloads:
  - {{name: rpc, kind: tcp-rr, from: client, to: server, count: 20}}
  - {{name: download, kind: tcp-stream, from: server, to: client, duration: 2s}}

# Changes during the run, at times that count from the first packet:
# timeline:
#   - {{at: 1s, partition: [[client], [server]]}}
#   - {{at: 2s, heal: all}}

# What must hold: testbed run ends with status 1 if it does not.
expect:
  - rpc.latency.min >= 40ms
"""

_COMPOSE = """\
# The services of {compose} are the nodes. testbed up {file} brings them up with these links between them.
# Every key: testbed schema, or docs/reference/topology-files.md. Editors complete keys with that schema.
name: {name}
description: The services of {compose}, with bad links between them

compose: {{file: ./{compose}}}

# The impairments between two services, in both directions. Uncomment, and name two of yours:
# links:
#   - {{between: [web, db], delay: 20ms, loss: 1%}}
"""

_TEST = """\
\"\"\"A test on the network of {file}; run it by pytest {test}.\"\"\"

import pytest

pytestmark = pytest.mark.topology("{file}")


def test_nodes_reach_each_other(lab):
    client, server = list(lab)[:2]
    assert lab[client].run(["ping", "-c", "5", server]).status == 0
"""


def write(place: str) -> list[Path]:
    """Write a topology file, and a test of it where a Python project is; return the files that were written.

    Args:
        place: a directory that exists, the working directory if it is empty, or the name of a new topology.

    Raises:
        UsageError: `file-exists`; `bad-name`, the name is none that a topology may have; `no-such-directory`.
    """
    directory = Path(place)
    if directory.is_dir():
        name = _name(directory.resolve().name)
        path = directory / "network.yml"
    else:
        directory, name = Path(place).parent, Path(place).name.removesuffix(".yml")
        if not directory.is_dir():
            raise UsageError("no-such-directory", f"there is no directory {directory}", f"mkdir -p {directory}")
        if name != _name(name):
            raise UsageError("bad-name", f"{name!r} is no name of a topology", f"for example {_name(name)}")
        path = directory / f"{name}.yml"
    if path.exists():
        raise UsageError("file-exists", f"{path} exists already", "testbed init NAME writes a file of another name")
    compose = next((file for file in COMPOSE_FILES if (directory / file).is_file()), None)
    written = {path: (_COMPOSE if compose else _OWN).format(name=name, file=path.name, compose=compose)}
    test = directory / f"test_{name.replace('-', '_')}_network.py"
    if not compose and any((directory / file).exists() for file in PYTHON_PROJECT) and not test.exists():
        written[test] = _TEST.format(file=path.name, test=test.name)
    for file, text in written.items():
        file.write_text(text, "utf-8")
    return [*written]


def _name(text: str) -> str:
    """Return the name of a topology that is most like a text."""
    cleaned = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    return cleaned[:_LONGEST_NAME].strip("-") or "network"
