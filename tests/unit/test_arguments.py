"""Arguments of the Python API: what they may be is taken, and what they may not be is a `UsageError` with a hint."""

import math
from pathlib import Path
from typing import Any

import pytest

from testbed import arguments, runs, topology
from testbed.errors import UsageError
from testbed.topology.values import command_words


def test_valid_arguments_are_accepted(tmp_path):
    assert arguments.path("a", "x") == arguments.path(Path("a"), "x") == Path("a")
    assert arguments.one_of("netns", "x", ("auto", "netns")) == "netns"
    assert arguments.one_of(None, "x", ("auto",)) is None
    assert arguments.texts("a", "x") == arguments.texts(["a"], "x") == ("a",)
    assert arguments.texts((), "x") == ()
    assert arguments.whole(5, "x", least=5, most=5) == 5
    assert arguments.seconds(0.5, "x") == 0.5
    assert arguments.seconds(None, "x") is None
    assert arguments.octets("é", "x") == arguments.octets("é".encode(), "x") == b"\xc3\xa9"
    (tmp_path / "a.yml").write_text("name: x\nnodes: {a: }\n")
    assert topology.load(str(tmp_path / "a.yml")) == topology.load(tmp_path / "a.yml")


WRONG: list[tuple[Any, list[Any]]] = [
    (lambda value: arguments.path(value, "x"), [None, 5, [], b"a", "a\0b", object()]),
    (lambda value: arguments.one_of(value, "x", ("auto", "netns")), ["", "NETNS", 5, [], {}]),
    (lambda value: arguments.texts(value, "x"), [None, 5, [5], [None], b"a"]),
    (lambda value: arguments.whole(value, "x", least=1, most=9), [0, 10, "5", 5.0, True, None, []]),
    (lambda value: arguments.seconds(value, "x"), [0, -1, "5", True, math.nan, math.inf, []]),
    (lambda value: arguments.octets(value, "x"), [None, 5, [1], {}]),
    (topology.load, [None, 5, [], b"a", "a\0b"]),
    (lambda value: topology.loads(value, "x"), [None, 5, [], {}, object()]),
    (lambda value: topology.loads("name: x", "x", value), [5, [5], b"a"]),
    (runs.load, [None, 5, [], b"a", "a\0b"]),
]


@pytest.mark.parametrize(("call", "value"), [(call, value) for call, values in WRONG for value in values])
def test_invalid_arguments_are_usage_errors_with_a_hint(call, value):
    with pytest.raises(UsageError) as raised:
        call(value)
    assert raised.value.code == "bad-argument"
    assert raised.value.hint
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__ or raised.value.__context__ is None


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("ls -l 'a b'", ["ls", "-l", "a b"]),
        (["ls", "-l"], ["ls", "-l"]),
        (("sleep", 5), ["sleep", "5"]),
        (["sleep", 0.5], ["sleep", "0.5"]),
        ([Path("/bin/ls"), ""], ["/bin/ls", ""]),
        (Path("/bin/ls"), ["/bin/ls"]),
    ],
)
def test_commands_are_text_or_words(command, words):
    assert command_words(command) == words


@pytest.mark.parametrize(
    "command", [None, [], "", (), [None], [True], True, b"ls", [b"ls"], {"ls": 1}, "ls '", "a\0b", ["a\0b"], [["ls"]]]
)
def test_an_invalid_command_is_refused(command):
    with pytest.raises(UsageError) as raised:
        command_words(command)
    assert raised.value.code == "bad-command"
    assert raised.value.hint
    assert raised.value.__suppress_context__ or raised.value.__context__ is None
