import pytest

from testbed.topology.env_files import parse


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("A=b", "b"),
        ("A = b c ", "b c"),
        ("A=", ""),
        ("A=b=c", "b=c"),
        ("A=b # comment", "b"),
        ("A=b#c", "b#c"),
        ("A=#c", ""),
        ("A='b # c' # d", "b # c"),
        ('A="b c"', "b c"),
        ("A=$HOME", "$HOME"),
        ("  A=b", "b"),
    ],
)
def test_values(line, value):
    assert parse(f"# comment\n\n{line}\n") == {"A": value}


@pytest.mark.parametrize("line", ["A", "export A=b", "1A=b", "A-B=c", "A='b", "A='b'c", "=b"])
def test_lines_that_are_none(line):
    with pytest.raises(ValueError, match="line 2 "):
        parse(f"B=c\n{line}\n")
