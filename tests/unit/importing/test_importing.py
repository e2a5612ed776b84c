"""What is wrong in a file is said at its place, and what comes out is a topology."""

import textwrap

import pytest

from testbed.errors import UsageError
from testbed.importing import imported
from testbed.plan import resolve
from testbed.topology import TopologyError, loads


@pytest.fixture
def make(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def made(text):
        file = tmp_path / "file.yml"
        file.write_text(textwrap.dedent(text))
        return imported(file, tmp_path)

    return made


@pytest.fixture
def nodes(make, tmp_path):
    """The nodes of the topology that a file becomes, and the notes."""

    def made(text):
        result = make(text)
        topology = loads(result.text, "made.yml", tmp_path)
        if not topology.lacks_discovery:
            resolve(topology)
        return topology, [f"{note.line}:{note.column} {note.code}: {note.message}" for note in result.notes]

    return made


COMPOSE = "services:\n  web:\n    image: nginx\n    "
CLAB = "name: x\ntopology:\n  nodes:\n    a: {kind: linux, image: i}\n    b: {kind: linux, image: i}\n  "


@pytest.mark.parametrize(
    ("text", "place", "code"),
    [
        ("", "1:1", "empty-file"),
        ("a: [", "1:5", "bad-yaml"),
        ("name: x\nnodes: {}", "1:1", "unknown-format"),
        ("- a", "1:1", "unknown-format"),
        ("services: {}", "1:11", "missing-key"),
        ("services: [a]", "1:11", "wrong-type"),
        ("services:\n  web: {ports: [80]}", "2:3", "missing-key"),
        ("servces: {}\nservices: {a: {image: x}}", "1:1", "unknown-key"),
        (COMPOSE + "imag: x", "4:5", "unknown-key"),
        (COMPOSE + "networks: [nowhere]", "4:16", "unknown-network"),
        (COMPOSE + "depends_on: [db]", "4:18", "unknown-service"),
        (COMPOSE + "extends: {service: other}", "4:5", "unsupported"),
        (COMPOSE + "command: 'a \"b'", "4:14", "bad-value"),
        (COMPOSE + "mem_limit: much", "4:16", "bad-value"),
        (COMPOSE + "pids_limit: many", "4:17", "bad-value"),
        (COMPOSE + "healthcheck: {test: [curl]}", "4:25", "bad-value"),
        (COMPOSE + "healthcheck: {test: x, interval: 5 minutes}", "4:38", "bad-value"),
        (COMPOSE + "privileged: maybe", "4:17", "wrong-type"),
        (COMPOSE + "environment: {A: [1]}", "4:22", "wrong-type"),
        (COMPOSE + "environment: {A: '${NONE:?no}'}", "4:22", "missing-variable"),
        (COMPOSE + "environment: {A: '$'}", "4:22", "bad-variable"),
        (COMPOSE + "ports: !reset []", "4:12", "tag"),
        (COMPOSE + "build: https://example.org/x.git", "4:12", "unsupported"),
        (COMPOSE + "build: ./nowhere", "4:12", "no-such-file"),
        ("services:\n  web:\n    image: 'not an image'", "3:12", "bad-value"),
        ("include: [a.yml]\nservices: {web: {image: x}}", "1:1", "unsupported"),
        ("services: {a_b: {image: x}, a-b: {image: y}}", "1:29", "duplicate-name"),
        ("services: {a: {image: x, profiles: [p]}}", "1:11", "missing-key"),
        ("services: {a: &a {image: x, b: *a}}", "1:32", "recursive-alias"),
        ("topology: {nodes: {}}", "1:19", "missing-key"),
        ("topology: {nodes: {a: {image: x}}}", "1:20", "missing-key"),
        (CLAB + "links: [{endpoints: ['a:eth1', 'c:eth1']}]", "6:34", "unknown-node"),
        (CLAB + "links: [{endpoints: ['a:eth1', 'b']}]", "6:34", "bad-value"),
        (CLAB + "links: [{endpoints: ['a:eth1']}]", "6:23", "bad-value"),
        (CLAB + "links: [{type: tube, endpoints: []}]", "6:18", "bad-value"),
        (CLAB + "lnks: []", "6:3", "unknown-key"),
        (CLAB + "defaults: {memory: much}", "6:22", "bad-value"),
        (CLAB + "kinds: {linux: {exec: ['a \"b']}}", "6:26", "bad-value"),
    ],
)
def test_errors_have_their_place(make, text, place, code):
    with pytest.raises(TopologyError) as caught:
        make(text)
    assert (place, code) in {(f"{one.line}:{one.column}", one.code) for one in caught.value.problems}
    assert caught.value.exit_code == 2
    assert all(problem.file.endswith("file.yml") for problem in caught.value.problems)


def test_all_errors_come_at_once(make):
    with pytest.raises(TopologyError) as caught:
        make(COMPOSE + "imag: x\n    netwoks: []\n  db:\n    imge: y\n")
    assert [problem.line for problem in caught.value.problems] == [4, 5, 6, 7]


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(UsageError, match="unreadable-file"):
        imported(tmp_path / "none.yml", tmp_path)


def test_a_service_without_networks_is_on_the_default_one_which_leads_outside(nodes):
    topology, notes = nodes(COMPOSE + "ports: [80]")
    assert list(topology.networks) == ["default"]
    assert not topology.networks["default"].internal
    assert notes == []


def test_networks_that_are_there_already(nodes):
    topology, _ = nodes(COMPOSE + "networks: [front]\nnetworks: {front: {external: true, name: shop_front}}\n")
    assert topology.networks["front"].present == "shop_front"


def test_what_compose_waits_for(nodes):
    text = (
        COMPOSE
        + "depends_on: [db]\n  db: {image: db}\n  job: {image: j, depends_on: {db: {condition: service_healthy}}}"
    )
    topology, _ = nodes(text)
    assert topology.nodes["web"].dependencies == {"db": "service_started"}
    assert topology.nodes["job"].dependencies == {"db": "service_healthy"}
    assert topology.nodes["db"].ready.healthcheck


def test_merges_and_anchors(nodes):
    text = """
        x-one: &one {restart: always, cap_add: [NET_RAW]}
        x-two: &two {restart: "no", user: www-data}
        services:
          web: {<<: [*one, *two], image: x}
          db: {<<: *two, image: x, user: root}
    """
    topology, _ = nodes(text)
    web, db = topology.nodes["web"], topology.nodes["db"]
    assert (web.restart, web.user, web.cap_add) == ("always", "www-data", ("NET_RAW",))
    assert (db.restart, db.user) == ("no", "root")


def test_variables_come_from_the_environment_before_the_file(nodes, tmp_path, monkeypatch):
    (tmp_path / ".env").write_text("TAG=1\nUSER_NAME=file\n")
    monkeypatch.setenv("TAG", "2")
    topology, notes = nodes(COMPOSE.replace("nginx", "nginx:$TAG") + "user: ${USER_NAME}\n    hostname: h$NOTHING")
    node = topology.nodes["web"]
    assert (node.image, node.user, node.hostname) == ("nginx:2", "file", "h")
    assert [note.split(": ")[0] for note in notes] == ["3:5 decide", "4:5 decide", "5:5 decide"]
    assert "environment" in notes[0]
    assert ".env" in notes[1]


def test_a_secret_is_not_in_the_notes(make, monkeypatch):
    monkeypatch.setenv("PASSWORD", "hunter2")
    result = make(COMPOSE + "environment: {PW: $PASSWORD}")
    assert "hunter2" in result.text
    assert not any("hunter2" in str(note) for note in result.notes)


def test_what_a_topology_refuses_is_left_out_with_the_reason(nodes):
    text = COMPOSE + "user: 'no good'\n    volumes: [./gone:/a, /tmp:/b]\n    labels: {testbed.lab: x, team: net}\n"
    topology, notes = nodes(text)
    node = topology.nodes["web"]
    assert node.user is None
    assert [volume.target for volume in node.volumes] == ["/b"]
    assert dict(node.labels) == {"team": "net"}
    assert [note.split(" ")[0] for note in notes] == ["4:5", "5:15", "6:14"]
    assert all("left-out" in note for note in notes)


def test_every_note_stands_in_the_topology_too(make):
    result = make(COMPOSE + "init: true\n    logging: {driver: none}\n    profiles: []\n")
    for note in result.notes:
        assert f"# {note.code} (line {note.line}): {note.message.removeprefix('services.web.')}" in (
            result.text.replace("\n  #   ", " ")
        )


def test_limits_on_cpus_and_processes_are_taken_over(nodes):
    one, notes = nodes(COMPOSE + "cpuset: 0,2-3\n    deploy: {resources: {limits: {pids: 50}}}\n")
    web = one.nodes["web"]
    assert (web.cpuset, web.pids_limit, notes) == ("0,2-3", 50, [])
    for written, limit in (("100", 100), ("-1", None), ("0", None)):
        other, notes = nodes(COMPOSE + f"pids_limit: {written}\n")
        assert (other.nodes["web"].pids_limit, notes) == (limit, [])
    routers, notes = nodes("name: c\ntopology: {nodes: {a: {kind: linux, image: x, cpu-set: '0-1'}}}")
    assert routers.nodes["a"].cpuset == "0-1"
    assert not [note for note in notes if "cpu-set" in note]


def test_text_that_looks_like_something_else_stays_text(nodes):
    words = ["yes", "0x10", "1e3", "1.10", "~", "null", "22:22", "a: b", "# c", "'", '"', "", "- x", "@y", "\u00e9"]
    listed = ", ".join('"' + word.replace('"', '\\"') + '"' for word in words)
    topology, _ = nodes(COMPOSE + f"command: [{listed}]")
    assert topology.nodes["web"].command == tuple(words)


def test_values_of_containerlab_come_from_node_group_kind_and_defaults(nodes):
    text = """
        name: levels
        topology:
          defaults: {kind: linux, image: from-defaults, env: {A: 1, B: 1, C: 1, D: 1}}
          kinds: {linux: {image: from-kind, user: kind, env: {A: 2, B: 2, C: 2}}}
          groups: {g: {image: from-group, env: {A: 3, B: 3}}}
          nodes:
            a: {group: g, env: {A: 4}}
            b:
            c: {image: from-node}
    """
    topology, _ = nodes(text)
    assert [topology.nodes[name].image for name in "abc"] == ["from-group", "from-kind", "from-node"]
    assert topology.nodes["a"].environment == {"A": "4", "B": "3", "C": "2", "D": "1"}
    assert topology.nodes["b"].user == "kind"


def test_links_become_wires_and_bridges_networks(nodes):
    text = """
        name: links
        topology:
          kinds: {linux: {image: i}}
          nodes: {a: {kind: linux}, b: {kind: linux}, c: {kind: linux}, br: {kind: bridge}}
          links:
            - endpoints: ["a:eth1", "b:eth1"]
            - endpoints: ["b:eth2", "a:eth2"]
            - {endpoints: ["br:x", "c:eth1"]}
            - {type: veth, mtu: 1400, endpoints: [{node: b, interface: eth3}, {node: c, interface: eth2}]}
    """
    topology, _ = nodes(text)
    assert {name: (wire.wire, wire.mtu) for name, wire in topology.wires.items()} == {
        "a-b": (("a", "b"), 1500),
        "b-a-2": (("b", "a"), 1500),
        "b-c": (("b", "c"), 1400),
    }
    assert [*topology.attachments("c")] == ["br", "b-c"]


def test_forwarding_nodes_become_routers(nodes):
    text = """
        name: routers
        topology:
          kinds: {linux: {image: i}}
          nodes:
            a: {kind: linux, sysctls: {net.ipv4.ip_forward: 1}}
            b: {kind: linux, exec: ["sysctl -w net.ipv4.ip_forward=1"]}
            c: {kind: linux, image: "frrouting/frr:v8"}
            d: {kind: linux}
          links:
            - endpoints: ["a:eth1", "b:eth1"]
            - endpoints: ["b:eth2", "c:eth1"]
            - endpoints: ["c:eth2", "d:eth1"]
            - endpoints: ["d:eth2", "a:eth2"]
    """
    topology, notes = nodes(text)
    routers = {name: node.router and node.router.routing for name, node in topology.nodes.items()}
    assert routers == {"a": "computed", "b": "computed", "c": "none", "d": None}
    assert any(note.startswith("9:") and "forwards nothing" in note for note in notes)
    assert topology.nodes["a"].sysctls == {}
