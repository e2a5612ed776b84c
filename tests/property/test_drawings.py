"""Whatever is planned, its drawing can be read in every format, and has all of it."""

import yaml
from hypothesis import given, settings

from testbed.drawing import draw
from testbed.drawing.picture import picture
from testbed.plan import resolve
from testbed.topology import loads
from tests.drawings import dot_graph, mermaid, needs_graphviz, svg_texts
from tests.property.test_plan import files


@needs_graphviz
@settings(deadline=None, max_examples=25)
@given(files())
def test_drawings_of_plans(data):
    plan = resolve(loads(yaml.safe_dump(data, sort_keys=False), "file.yml"))
    drawn = picture(plan)
    assert sum(box.count for box in drawn.boxes) == len(plan.nodes)
    attachments = sum(len(box.networks) for box in drawn.boxes)
    nodes, edges = mermaid(draw(plan, "mermaid"))
    assert len(nodes) == len(drawn.boxes) + len(plan.networks)
    assert len(edges) == attachments + len(drawn.connections)
    assert tuple(map(len, dot_graph(draw(plan, "dot")))) == (len(nodes), len(edges))
    texts = svg_texts(draw(plan, "svg"))
    assert len(texts) >= len(drawn.boxes) + len(plan.networks)
    assert max(map(len, draw(plan, "text").splitlines())) <= 80
    linked = {(link.source, link.destination, link.network) for link in plan.links}
    assert bool(linked) == bool(drawn.connections)
