"""Tables of impairments between groups."""

import pytest

from testbed.plan import resolve
from testbed.topology import TopologyError, load

HEAD = "name: x\nnodes: {eu: {count: 2}, us: , asia: }\n"
LINK = "{between: [eu, us], matrix: delays.csv}"
TABLE = "from-to, eu, us\neu, 1ms, 40ms 0.1%\nus, 42ms, \n"
MS = 1_000_000


@pytest.fixture
def links(tmp_path):
    """Return a function that gives the links of a file with a table, by ends."""

    def given(table=TABLE, link=LINK, more=""):
        (tmp_path / "delays.csv").write_text(table)
        (tmp_path / "file.yml").write_text(f"{HEAD}links: [{link}]\n{more}")
        plan = resolve(load(tmp_path / "file.yml"))
        return {(each.source, each.destination): each.impairments for each in plan.links}

    return given


@pytest.fixture
def problems(links, tmp_path):
    """Return a function that gives the problems of a file with a table: place from the directory on, code and text."""

    def given(table=TABLE, link=LINK):
        with pytest.raises(TopologyError) as raised:
            links(table, link)
        return [
            (problem.file.removeprefix(f"{tmp_path}/"), problem.line, problem.column, problem.code, str(problem))
            for problem in raised.value.problems
        ]

    return given


def test_each_direction_has_its_cell_and_groups_their_diagonal(links):
    found = {ends: impairments.delay_ns // MS for ends, impairments in links().items()}
    assert found == {
        ("eu-1", "eu-2"): 1,
        ("eu-2", "eu-1"): 1,
        ("eu-1", "us"): 40,
        ("eu-2", "us"): 40,
        ("us", "eu-1"): 42,
        ("us", "eu-2"): 42,
    }


def test_a_cell_has_loss_and_rate_and_keys_beside_the_matrix_are_for_the_others(links):
    table = "x,eu,us\neu,1ms,40ms 100mbit 0.1%\nus,42ms,\n"
    found = links(table, "{between: [eu, us], matrix: delays.csv, loss: 2%, jitter: 1ms}")
    there, back = found["eu-1", "us"], found["us", "eu-1"]
    assert (there.describe(), back.describe()) == (
        "delay 40 ms, jitter 1 ms, loss 0.1 %, rate 100 mbit/s, queue 1.025 MB",
        "delay 42 ms, jitter 1 ms, loss 2 %",
    )


def test_a_table_may_have_more_names_than_are_asked_for(links):
    table = "x,eu,us,asia\neu,1ms,2ms,3ms\nus,4ms,,5ms\nasia,6ms,7ms,\n"
    assert {destination for _, destination in links(table)} == {"eu-1", "eu-2", "us"}


def test_a_link_that_names_a_node_takes_the_place_of_a_cell(links):
    found = links(link=f"{LINK}, {{from: eu-2, to: us, delay: 7ms}}")
    assert (found["eu-1", "us"].delay_ns // MS, found["eu-2", "us"].delay_ns // MS) == (40, 7)


@pytest.mark.parametrize(
    ("table", "place", "code", "words"),
    [
        ("", (1, 1), "no-names", ["names no node"]),
        ("x,eu,us\neu,1ms,2ms\n", (1, 6), "not-square", ['column "us" and no such row']),
        ("x,eu,us\neu,1ms\nus,2ms,\n", (2, 1), "not-square", ['row "eu" has 1 values', "2 columns"]),
        ("x,eu,us\neu,1ms,2ms\nus,3ms,\nuk,1ms,1ms\n", (4, 1), "not-square", ['row "uk"', "columns are: eu, us"]),
        ("x,eu,eu,us\neu,1ms,1ms,2ms\nus,3ms,3ms,\n", (1, 6), "duplicate-name", ['"eu" a second time']),
        ("x,eu,US\neu,1ms,2ms\nUS,3ms,\n", (1, 6), "bad-name", ['"US"']),
        ("x,eu,us\neu,1ms, 40\nus,3ms,\n", (2, 9), "bad-cell", ["from eu to us", "40", "80ms 0.1% 100mbit"]),
        ("x,eu,us\neu,1ms,40ms 3\nus,3ms,\n", (2, 8), "bad-cell", ['"3" is no loss and no rate']),
        ("x,eu,us\neu,1ms,40ms 1% 2%\nus,3ms,\n", (2, 8), "bad-cell", ['"2%" is there twice']),
        ("x,eu,us\neu,1ms,\nus,3ms,\n", (2, 8), "bad-cell", ["is empty", "0 for no delay"]),
        ("x,eu,us\neu,1ms,40ms 200%\nus,3ms,\n", (2, 8), "bad-cell", ["200%"]),
    ],
)
def test_faults_are_at_their_place_in_the_table(problems, table, place, code, words):
    found = problems(table)
    first = next(problem for problem in found if problem[3] == code)
    assert (first[0], first[1:3]) == ("delays.csv", place)
    for word in words:
        assert word in first[4]


def test_all_faults_of_a_table_are_reported_at_once(problems):
    assert [problem[1:3] for problem in problems("x,eu,us\neu,1,2\nus,3,\n")] == [(2, 4), (2, 6), (3, 4)]


@pytest.mark.parametrize(
    ("link", "place", "code", "words"),
    [
        ("{between: [eu, asia], matrix: delays.csv}", (3, 24), "not-in-matrix", ['"asia"', "eu, us"]),
        ("{between: [eu, uk], matrix: delays.csv}", (3, 24), "unknown-node", ['"uk"']),
        ("{between: [eu, us, eu], matrix: delays.csv}", (3, 28), "duplicate-node", ["second time"]),
        ("{between: [eu, us], matrix: dleays.csv}", (3, 37), "bad-value", ["no file"]),
        ("{between: [eu, us], matrix: delays.csv, delya: 1ms}", (3, 49), "unknown-key", ['did you mean "delay"?']),
        (
            "{between: [eu, us], matrix: delays.csv, jitter: 2ms}",
            (3, 37),
            "jitter-exceeds-delay",
            ["row eu", "column eu"],
        ),
        (f"{LINK}, {{between: [us, eu], delay: 1ms}}", (3, 50), "duplicate-link", ["us and eu"]),
    ],
)
def test_faults_of_the_link_are_at_their_place_in_the_file(problems, link, place, code, words):
    found = [problem for problem in problems(link=link) if problem[3] == code]
    assert [(problem[0], problem[1:3]) for problem in found] == [("file.yml", place)]
    for word in words:
        assert word in found[0][4]
