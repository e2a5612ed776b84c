"""The drawing of a topology: everything that is in it, at a size that can be read."""

from dataclasses import replace
from itertools import pairwise

import pytest

from testbed.report.drawing import draw
from tests.unit.runs.conftest import node

LEAST = 16
"""Pixels between two labels."""


@pytest.fixture
def star(plan):
    """A server with as many clients, all of whose links do the same, or each something else."""

    def made(count, *, alike=True):
        server, link = node(200, "server"), plan.links[0]
        clients = [node(number + 2, f"c{number:02}") for number in range(count)]
        links = [
            replace(
                link,
                source=client.name,
                impairments=replace(link.impairments, delay_ns=link.impairments.delay_ns + (not alike) * at * 10**6),
            )
            for at, client in enumerate(clients)
        ]
        return replace(plan, nodes=(server, *clients), links=tuple(links))

    return made


def test_every_node_network_and_link_is_drawn(plan):
    drawing = draw(plan)
    assert [box.name for box in drawing.boxes] == ["client", "server"]
    assert [line.label for line in drawing.networks] == ["wan   198.18.7.0/24   MTU 1500"]
    (arc,) = drawing.arcs
    assert arc.label == plan.links[0].impairments.describe()
    assert (arc.to_top, arc.to_bottom) == (False, True)


def test_directions_with_equal_impairments_share_an_arc(plan):
    link = plan.links[0]
    back = replace(link, source="server", destination="client")
    (arc,) = draw(replace(plan, links=(link, back))).arcs
    assert (arc.to_top, arc.to_bottom) == (True, True)
    assert "each way" in arc.label
    other = replace(back, impairments=replace(back.impairments, delay_ns=1))
    assert len(draw(replace(plan, links=(link, other))).arcs) == 2


def test_similar_nodes_share_a_box(star):
    drawing = draw(star(30))
    assert [(box.name, box.count) for box in drawing.boxes] == [("server", 1), ("c00 … c29", 30)]
    assert len(drawing.arcs) == 1


@pytest.mark.parametrize("count", [2, 30])
def test_labels_do_not_overlap(star, count):
    drawing = draw(star(count, alike=False))
    assert len(drawing.boxes) == count + 1
    assert len(drawing.arcs) == count
    for labels in ([box.y for box in drawing.boxes], [arc.label_y for arc in drawing.arcs]):
        ordered = sorted(labels)
        assert all(later - earlier >= LEAST for earlier, later in pairwise(ordered))
    assert drawing.height > max(arc.label_y for arc in drawing.arcs)


def test_more_nodes_and_links_than_can_be_read_are_counted(star):
    drawing = draw(star(60, alike=False))
    assert drawing.folded
    assert drawing.arcs == []
    assert drawing.links_left_out == 60
