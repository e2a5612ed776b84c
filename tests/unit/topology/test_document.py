import pytest

from testbed.topology.document import Position, read
from testbed.topology.problems import TopologyError


def data(text):
    return read(text, "file.yml").data


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("on", "on"),
        ("no", "no"),
        ("52:54:00:12:34:56", "52:54:00:12:34:56"),
        ("1:30", "1:30"),
        ("1e-3", 0.001),
        ("1_000", "1_000"),
        ("0o14", 12),
        ("0x1F", 31),
        ("014", 14),
        ("0b1", "0b1"),
        ("-7", -7),
        (".5", 0.5),
        ("1.", 1.0),
        ("2001-01-01", "2001-01-01"),
        ("true", True),
        ("False", False),
        ("tRue", "tRue"),
        ("~", None),
        ("null", None),
        (".inf", ".inf"),
        ("'1'", "1"),
        ('"true"', "true"),
        ("<<", "<<"),
    ],
)
def test_scalars_are_those_of_yaml_1_2(text, value):
    found = data(f"- {text}")
    assert found == [value]
    assert isinstance(found[0], type(value))


def test_numbers_know_how_they_were_written():
    assert [number.text for number in data("[1.10, 007, 0x1F, 1e3]")] == ["1.10", "007", "0x1F", "1e3"]


def test_places():
    document = read("a:\n  - b\n  - {c:  d}\n", "file.yml")
    assert document.places["a",].key == Position(1, 1)
    assert document.places["a", 0].value == Position(2, 5)
    assert document.places["a", 1, "c"].key == Position(3, 6)
    assert document.places["a", 1, "c"].value == Position(3, 10)


def test_a_byte_order_mark_and_comments_are_no_content():
    assert data(b"\xef\xbb\xbf# comment\na: b\n") == {"a": "b"}


def test_an_alias_is_the_same_again_at_the_place_of_its_anchor():
    document = read("a: &x {b: c}\nd: *x\n", "file.yml")
    assert document.data == {"a": {"b": "c"}, "d": {"b": "c"}}
    assert document.places["d", "b"].value == Position(1, 11)


def test_duplicate_keys_are_errors_and_the_first_applies():
    document = read("a: 1\nb: 2\na: 3\n", "file.yml")
    assert document.data == {"a": 1, "b": 2}
    [problem] = document.problems
    assert str(problem) == 'file.yml:3:1: duplicate-key: "a" is given twice\n  hint: the first is at line 1'


@pytest.mark.parametrize(
    ("text", "place", "code"),
    [
        ("", (1, 1), "empty-file"),
        ("# nothing\n", (1, 1), "empty-file"),
        ("a: [1, 2\nb: 3\n", (2, 2), "bad-yaml"),
        ("a: b\n\tc: d\n", (2, 1), "bad-yaml"),
        ("a: 1\n---\nb: 2\n", (2, 1), "several-documents"),
        ("a: *b\n", (1, 4), "unknown-anchor"),
        ("a: &b [*b]\n", (1, 8), "recursive-alias"),
        (b"a: 1\nb: \xff\n", (2, 4), "not-utf-8"),
        ("a: 1\nb: \0\n", (2, 4), "bad-text"),
        ('a: "\\ud800"\n', (1, 4), "bad-text"),
        ('a: "\\UFFFFFFFF"\n', (1, 7), "bad-yaml"),
        ("a: " + "[" * 50, (1, 24), "too-deep"),
        ("a" * 2_100_000, (1, 1), "too-large"),
    ],
)
def test_unreadable_yaml_is_refused_at_its_place(text, place, code):
    with pytest.raises(TopologyError) as raised:
        read(text, "file.yml")
    problem = raised.value.problems[-1]
    assert ((problem.line, problem.column), problem.code) == (place, code)


def test_aliases_cannot_explode():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    with pytest.raises(TopologyError, match="more than 200000 values"):
        read("\n".join(lines), "file.yml")


def test_tags_are_refused():
    [problem] = read("a: !!str 1\n", "file.yml").problems
    assert problem.code == "tag"


MERGED = """
base: &base {image: nginx, cpus: 1, command: [a]}
other: &other {image: httpd, memory: 1GB}
one: {<<: *base, cpus: 2}
several: {cpus: 3, <<: [*base, *other]}
nested: {<<: {<<: *other, cpus: 4}}
quoted: {"<<": x}
"""


def test_a_merge_key_adds_what_a_mapping_lacks():
    document = read(MERGED, "file.yml")
    assert document.value(("one",)) == {"image": "nginx", "cpus": 2, "command": ["a"]}
    assert document.value(("several",)) == {"image": "nginx", "cpus": 3, "command": ["a"], "memory": "1GB"}
    assert document.value(("nested",)) == {"image": "httpd", "memory": "1GB", "cpus": 4}
    assert document.value(("quoted",)) == {"<<": "x"}
    assert document.problems == ()
    assert document.places["one", "image"] == ((2, 21), (2, 14), "file.yml")
    assert document.places["one", "cpus"].value == Position(4, 24)


@pytest.mark.parametrize(("value", "column"), [("x", 9), ("", 8), ("[{}, x]", 14)])
def test_only_mappings_can_be_merged(value, column):
    [problem] = read(f"a: {{<<: {value}}}\n", "file.yml").problems
    assert (problem.code, problem.line) == ("bad-merge", 1)
    assert problem.column == column


def test_merge_keys_cannot_explode():
    lines = ["a0: &a0 {x: [x, x, x, x, x, x, x, x, x, x]}"]
    keys = ", ".join(f"k{number}: {{<<: *PRIOR}}" for number in range(10))
    lines += [f"a{n}: &a{n} {{{keys.replace('PRIOR', f'a{n - 1}')}}}" for n in range(1, 10)]
    with pytest.raises(TopologyError, match="more than 200000 values"):
        read("\n".join(lines), "file.yml")
