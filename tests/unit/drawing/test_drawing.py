"""The drawing of a topology: everything that is in it, at a size that can be read, in every format."""

import json
import re
from dataclasses import replace
from itertools import pairwise

import pytest

from testbed.drawing import FORMATS, draw, figure
from testbed.drawing.layout import layout
from testbed.drawing.picture import in_short, picture
from testbed.plan import resolve
from testbed.topology import find, load, loads
from tests.drawings import dot_graph, mermaid, needs_graphviz, svg_texts

LEAST = 16
"""Pixels between two labels."""

HOSTILE = 'a "quote" <b>&amp; `tick` #35; \\n back\\slash | {x} ]] end'


def planned(text):
    return resolve(loads(text, "file.yml"))


def star(count, *, alike=True):
    """A server with as many clients, all of whose links do the same, or each something else."""
    nodes = "".join(f"  c{number:02}:\n" for number in range(count))
    links = "".join(
        f"  - {{between: [server, c{number:02}], delay: {20 + (not alike) * number}ms}}\n" for number in range(count)
    )
    return planned(f"name: star\nnodes:\n  server:\n{nodes}links:\n{links}")


OFFICE = """
name: office
description: Two networks
networks: {wan: {internal: false, mtu: 1400}, lan: }
nodes:
  edge: {networks: [wan, lan], router: true, ports: ["8080:80"]}
  pc: {networks: [lan]}
  server: {networks: [wan]}
links:
  - {between: [edge, server], delay: 40ms, loss: 2%, rate: 10mbit}
  - {from: server, to: edge, loss: {rate: 2%, burst: 4}}
  - {between: [edge, pc], delay: 1ms}
  - {between: [edge, pc], match: {protocol: udp, port: 53}, loss: 20%}
"""


def test_every_node_network_and_link_is_in_the_picture():
    drawn = picture(planned(OFFICE))
    assert [(box.name, box.router, box.networks) for box in drawn.boxes] == [
        ("edge", True, ("wan", "lan")),
        ("pc", False, ("lan",)),
        ("server", False, ("wan",)),
    ]
    assert drawn.boxes[0].notes == ("publishes 8080 -> 80/tcp",)
    assert [segment.name for segment in drawn.segments] == ["wan", "lan"]
    assert "leads outside" in drawn.segments[0].about
    assert "MTU 1400" in drawn.segments[0].about
    assert [(one.first, one.second, one.network, one.packets, one.there, one.back) for one in drawn.connections] == [
        (0, 1, "lan", "", "1 ms", "1 ms"),
        (0, 1, "lan", "udp port 53", "20 % loss", "20 % loss"),
        (0, 2, "wan", "", "40 ms, 2 % loss, 10 mbit/s", "loss 2 % in bursts of 4"),
    ]


def test_directions_are_told_apart_where_they_differ():
    *_, connection = picture(planned(OFFICE)).connections
    assert connection.labels(">", "<") == ("> 40 ms, 2 % loss, 10 mbit/s", "< loss 2 % in bursts of 4")
    assert replace(connection, back=connection.there).labels(">", "<") == ("40 ms, 2 % loss, 10 mbit/s, each way",)
    assert replace(connection, back=None).labels(">", "<") == ("40 ms, 2 % loss, 10 mbit/s",)
    assert replace(connection, there=None, back=None).labels(">", "<") == ()


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ("delay: 40ms, jitter: 4ms", "40 ms, jitter 4 ms"),
        ("loss: 2%, rate: 10mbit", "2 % loss, 10 mbit/s"),
        ("rate: 10mbit, queue: {limit: 1bdp, discipline: codel}", "10 mbit/s, codel"),
        ("blackhole: true", "100 % loss"),
    ],
)
def test_impairments_in_short(keys, words):
    plan = planned(f"name: one\nnodes: {{a: , b: }}\nlinks:\n  - {{from: a, to: b, {keys}}}\n")
    assert in_short(plan.links[0].impairments) == words


def test_similar_nodes_share_a_box():
    drawn = picture(star(30))
    assert [(box.name, box.count) for box in drawn.boxes] == [("server", 1), ("c00 … c29", 30)]
    (connection,) = drawn.connections
    assert connection.there == connection.back == "20 ms"


def test_a_node_whose_links_differ_has_a_box_of_its_own():
    text = "name: star\nnodes:\n  hub:\n" + "".join(f"  c{number}:\n" for number in range(9)) + "links:\n"
    text += "".join(f"  - {{between: [hub, c{number}], delay: {20 + (number == 4)}ms}}\n" for number in range(9))
    assert [(box.name, box.count) for box in picture(planned(text)).boxes] == [
        ("hub", 1),
        ("c0 … c8", 8),
        ("c4", 1),
    ]


def test_a_full_mesh_is_one_box_with_links_among_its_nodes():
    names = [f"n{number}" for number in range(12)]
    pairs = [(one, other) for one in names for other in names if one < other]
    text = f"name: mesh\nnodes: {{{': , '.join(names)}: }}\nlinks:\n"
    drawn = picture(planned(text + "".join(f"  - {{between: [{a}, {b}], delay: 5ms}}\n" for a, b in pairs)))
    assert [box.count for box in drawn.boxes] == [12]
    assert [(one.first, one.second, one.there) for one in drawn.connections] == [(0, 0, "5 ms")]


def test_a_group_is_a_box_with_its_name():
    drawn = picture(planned("name: g\nnodes: {client: {count: 30}, pair: {count: 2}, server: }\n"))
    assert [box.title for box in drawn.boxes] == ["client \u00d730", "pair \u00d72", "server"]


def test_a_member_of_a_group_with_other_links_has_a_box_of_its_own():
    links = "links: [{between: [client, server], delay: 1ms}, {between: [client-2, server], delay: 9ms}]\n"
    drawn = picture(planned(f"name: g\nnodes: {{client: {{count: 3}}, server: }}\n{links}"))
    assert [(box.name, box.count) for box in drawn.boxes] == [
        ("client-1, client-3", 2),
        ("client-2", 1),
        ("server", 1),
    ]


def test_wires_are_connections_and_routers_are_told():
    text = "name: w\nnodes: {a: , r: {router: true}, b: }\nlinks: [{wire: [a, r]}, {wire: [r, b], delay: 5ms}]\n"
    drawn = picture(planned(text))
    assert [box.router for box in drawn.boxes] == [False, True, False]
    assert drawn.segments == ()
    assert [(one.first, one.second, one.wire, one.there, one.back) for one in drawn.connections] == [
        (0, 1, True, None, None),
        (1, 2, True, "5 ms", "5 ms"),
    ]


def test_a_tree_of_127_routers_has_a_box_for_each_level():
    nodes = "".join(f"  r{number}: {{router: {'true' if number < 64 else 'false'}}}\n" for number in range(1, 128))
    wires = "".join(f"  - {{wire: [r{number // 2}, r{number}], delay: 1ms}}\n" for number in range(2, 128))
    drawn = picture(planned(f"name: tree\nnodes:\n{nodes}links:\n{wires}"))
    assert [box.count for box in drawn.boxes] == [1, 1, 1, 4, 8, 16, 32, 64]


def test_a_dense_mesh_is_a_table():
    plan = resolve(load(find("regions")))
    placed = layout(picture(plan))
    assert placed.arcs == []
    headings = [cell for cell in placed.cells if cell.heading]
    assert len(headings) == 10
    assert len(placed.cells) - len(headings) == 100
    columns = sorted({cell.x for cell in placed.cells})
    for left, right in pairwise(columns):
        assert all(cell.x + 6 * len(cell.text) < right for cell in placed.cells if cell.x == left)
    texts = svg_texts(draw(plan, "svg"))
    assert {"to dallas", "61.5 ms"} <= {*texts}


def test_200_nodes_with_different_links_are_no_ball():
    drawn = picture(star(200, alike=False))
    assert [(box.name, box.count) for box in drawn.boxes] == [("server", 1), ("c00 … c199", 200)]
    assert drawn.connections[0].there == "200 different ones"


@pytest.mark.parametrize("count", [2, 12, 30])
def test_labels_do_not_overlap(count):
    placed = layout(picture(star(count, alike=False)))
    assert len(placed.boxes) == count + 1
    assert len(placed.arcs) == count
    ends = [arc.label_y + LEAST * (len(arc.labels) - 1) for arc in placed.arcs]
    for labels in ([box.y for box in placed.boxes], [arc.label_y for arc in placed.arcs], ends):
        assert all(later - earlier >= LEAST for earlier, later in pairwise(sorted(labels)))
    assert placed.height > max(ends)


def test_more_links_than_can_be_read_are_counted():
    names = [f"{a}{b}" for a in "abcdefgh" for b in "abcdefghi"]
    text = f"name: many\nnodes: {{hub: , {': , '.join(names)}: }}\nlinks:\n"
    plan = planned(text + "".join(f"  - {{between: [hub, {one}], delay: {n + 1}ms}}\n" for n, one in enumerate(names)))
    assert figure(plan).folded
    assert f"{len(names)} connections have impairments" in draw(plan, "svg")
    assert len(layout(picture(plan)).arcs) == 0
    assert len([line for line in draw(plan, "text").splitlines() if "◀─▶" in line]) == len(names)


@pytest.mark.parametrize("count", [2, 12, 200])
def test_text_fits_80_columns(count):
    for plan in (star(count, alike=False), star(count), planned(OFFICE.replace("Two networks", "long " * 60))):
        lines = draw(plan, "text").splitlines()
        assert max(map(len, lines)) <= 80
        assert not [line for line in lines if line != line.rstrip()]


def test_text_says_all():
    drawn = draw(planned(OFFICE), "text")
    for part in (
        "edge",
        "router",
        "8080 -> 80/tcp",
        "also on lan",
        "40 ms, 2 % loss, 10 mbit/s",
        "udp port 53: 20 % loss",
    ):
        assert part in drawn


def test_as_json_it_has_every_direction_with_its_ends():
    found = json.loads(draw(planned(f"{OFFICE}  - {{from: pc, rate: 5mbit}}\n"), "json"))
    ends = [(link["from"], link["to"], link["network"], link["match"]) for link in found["links"]]
    assert sorted(ends, key=str) == [
        ("edge", "pc", "lan", "udp port 53"),
        ("edge", "pc", "lan", None),
        ("edge", "server", "wan", None),
        ("pc", "*", "lan", None),
        ("pc", "edge", "lan", "udp port 53"),
        ("pc", "edge", "lan", None),
        ("server", "edge", "wan", None),
    ]
    assert {node["name"]: [*node["addresses"]] for node in found["nodes"]} == {
        "edge": ["wan", "lan"], "pc": ["lan"], "server": ["wan"]
    }  # fmt: skip
    assert [(network["name"], network["internal"], network["mtu"]) for network in found["networks"]] == [
        ("wan", False, 1400),
        ("lan", True, 1500),
    ]


@needs_graphviz
@pytest.mark.parametrize("form", [*FORMATS])
def test_whatever_a_description_says_every_format_can_be_read(form):
    plan = replace(planned(OFFICE), description=HOSTILE + "\x01\x7f\u2028")
    drawing = draw(plan, form)
    if form == "svg":
        assert "edge" in svg_texts(drawing)[2]
    elif form == "mermaid":
        nodes, edges = mermaid(drawing)
        assert (len(nodes), len(edges)) == (5, 4 + 3)
    elif form == "dot":
        nodes, edges = dot_graph(drawing)
        assert (len(nodes), len(edges)) == (5, 4 + 3)
    else:
        assert HOSTILE.split(maxsplit=1)[0] in drawing


def test_names_of_containers_are_escaped():
    plan = planned(OFFICE)
    odd = replace(plan.nodes[1], container='x"<&>`\\')
    plan = replace(plan, nodes=(plan.nodes[0], odd, plan.nodes[2]))
    assert any('x"<&>`\\' in text for text in svg_texts(draw(plan, "svg")))
    mermaid(draw(plan, "mermaid"))
    assert 'container x\\"<&>`\\\\' in draw(plan, "dot")


def test_namespaces_that_were_there_are_told():
    plan = planned(OFFICE)
    present = replace(plan.nodes[1], namespace="/proc/4711/ns/net")
    assert "namespace /proc/4711/ns/net" in draw(replace(plan, nodes=(plan.nodes[0], present, plan.nodes[2])), "text")


def test_an_svg_needs_nothing_else_and_has_colours_for_light_and_dark():
    drawing = draw(planned(OFFICE), "svg")
    assert "prefers-color-scheme: dark" in drawing
    used, defined = {*re.findall(r"var\((--\w+)\)", drawing)}, {*re.findall(r"(--\w+):", drawing)}
    assert used == defined
    assert not re.findall(r"https?://(?!www\.w3\.org/2000/svg)|url\(|href", drawing)


def test_a_page_defines_the_colours_of_its_drawing():
    svg = figure(planned(OFFICE)).svg
    assert not re.findall(r"(--\w+):", svg)
    assert svg_texts(svg)


def test_nat_and_firewall_of_a_router_are_noted():
    router = "{networks: [in, out], router: {nat: {inside: [in], kind: symmetric}, firewall: {inside: [in]}}}"
    nodes = f"{{a: {{networks: [in]}}, r: {router}, b: {{networks: [out]}}}}"
    drawn = picture(planned(f"name: x\nnetworks: {{in: , out: }}\nnodes: {nodes}\n"))
    (box,) = [box for box in drawn.boxes if box.router]
    assert box.notes == ("NAT (symmetric) for in", "firewall for in")
