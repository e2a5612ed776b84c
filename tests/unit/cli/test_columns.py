import io

import pytest
from rich.console import Console
from rich.text import Text

from testbed.cli.columns import Columns

HEAD = ("workload", "goodput", "first byte", "p99")
LINES: list[tuple[str | Text, ...]] = [
    ("download", "6.13 mbit/s", Text("161 ms", style="red"), "-"),
    ("voice", "62.7 kbit/s", "40.2 ms", "44 ms"),
]


def shown(table, width):
    file = io.StringIO()
    Console(file=file, width=width, force_terminal=False).print(table)
    return [line.rstrip() for line in file.getvalue().splitlines()]


def test_all_side_by_side_where_there_is_room():
    table = Columns(HEAD, LINES, caption="what it means")
    assert shown(table, table.width) == [
        "workload  goodput      first byte  p99",
        "download  6.13 mbit/s  161 ms      -",
        "voice     62.7 kbit/s  40.2 ms     44 ms",
        "what it means",
    ]


def test_columns_without_room_continue_below_with_the_names_repeated():
    table = Columns(HEAD, LINES, right=("p99",), caption="what it means")
    assert shown(table, table.width - 1) == [
        "workload  goodput      first byte",
        "download  6.13 mbit/s  161 ms",
        "voice     62.7 kbit/s  40.2 ms",
        "",
        "workload    p99",
        "download      -",
        "voice     44 ms",
        "what it means",
    ]


@pytest.mark.parametrize("width", range(5, 45, 3))
def test_every_cell_is_there_at_any_width(width):
    text = "".join("".join(shown(Columns(HEAD, LINES), width)).split())
    if width > len("download  6.13 mbit/s"):
        assert all("".join(str(cell).split()) in text for line in [HEAD, *LINES] for cell in line)
    assert sorted(set(text)) == sorted(set("".join(str(cell) for line in [HEAD, *LINES] for cell in line)) - {" "})


def test_a_bracket_is_no_markup():
    assert shown(Columns(("links[0].loss", "runs"), [("1%", "[5]")]), 80) == [
        "links[0].loss  runs",
        "1%             [5]",
    ]
