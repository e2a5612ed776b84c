"""Whatever is planned, its drawing can be read in every format, and has all of it."""

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.drawing import draw
from testbed.drawing.picture import picture
from testbed.plan import resolve
from testbed.topology import loads
from tests.drawings import dot_graph, mermaid, needs_graphviz, svg_texts
from tests.property.test_plan import NAMES, SHAPES, files


@st.composite
def routed(draw):
    """A valid file of groups, wires, routers and links on one network."""
    names = draw(st.lists(NAMES, min_size=2, max_size=7, unique=True))
    pairs = [(one, other) for one in names for other in names if one < other]
    wires = draw(st.lists(st.sampled_from(pairs), unique=True, max_size=6))
    impaired = draw(st.lists(st.sampled_from(pairs), unique=True, max_size=4))
    wired = {end for wire in wires for end in wire}
    nodes = {
        name: {"networks": ["lan"], "router": draw(st.booleans())}
        if name in wired
        else {"networks": ["lan"], "count": draw(st.integers(1, 9))}
        for name in names
    }
    links = [
        {"wire": [*pair], "name": f"wire-{number}", **draw(SHAPES), "jitter": "0"} for number, pair in enumerate(wires)
    ]
    links += [{"between": [*pair], "network": "lan", **draw(SHAPES), "jitter": "0"} for pair in impaired]
    return {"name": "routed", "networks": {"lan": None}, "nodes": nodes, "links": links}


@needs_graphviz
@settings(max_examples=25)
@given(st.one_of(files(), routed()))
def test_drawings_of_plans(data):
    plan = resolve(loads(yaml.safe_dump(data, sort_keys=False), "file.yml"))
    drawn = picture(plan)
    assert sum(box.count for box in drawn.boxes) == len(plan.nodes)
    attachments = sum(len(box.networks) for box in drawn.boxes)
    nodes, edges = mermaid(draw(plan, "mermaid"))
    segments = [network for network in plan.networks if not network.wire]
    assert len(nodes) == len(drawn.boxes) + len(segments)
    assert len(edges) == attachments + len(drawn.connections)
    assert tuple(map(len, dot_graph(draw(plan, "dot")))) == (len(nodes), len(edges))
    texts = svg_texts(draw(plan, "svg"))
    assert len(texts) >= len(drawn.boxes) + len(segments)
    assert max(map(len, draw(plan, "text").splitlines())) <= 80
    wires = len(plan.networks) - len(segments)
    assert bool(plan.links or wires) == bool(drawn.connections)
