"""What a person sees, as it was given."""

import threading

from testbed.cli import screen as screens
from testbed.cli.screen import Screen
from testbed.plan import resolve
from testbed.topology import loads

TEXT = """name: x
description: what is [red] and [/unclosed]
nodes: {a: , b: }
"""


def test_brackets_are_text(capsys):
    screen = Screen()
    screen.title(resolve(loads(TEXT, "x.yml")))
    screen.say("trust", "links[a] was [/] late")
    assert capsys.readouterr().out.splitlines() == [
        "x   what is [red] and [/unclosed]",
        "trust   links[a] was [/] late",
    ]


def test_counts_are_lines_where_there_is_no_terminal(capsys, monkeypatch):
    monkeypatch.setattr(screens, "_LINE_SECONDS", 0)
    screen = Screen()
    screen.begun("up", "links")
    for done in (0, 200, 400):
        screen.progressed("up", "links", done / 500, f"{done} of 500")
    screen.progressed("run", "x", 0.5)
    assert capsys.readouterr().out.splitlines() == [f"up      links: {done} of 500" for done in (0, 200, 400)]


def test_short_work_is_no_line_of_its_own(capsys):
    screen = Screen()
    screen.progressed("up", "links", 0, "0 of 500")
    assert capsys.readouterr().out == ""


def test_what_is_waited_for_is_a_line_where_there_is_no_terminal(capsys, monkeypatch):
    monkeypatch.setattr(screens, "_LINE_SECONDS", 0)
    screen = Screen()
    screen.begun("up", "nodes")
    screen.begun("up", "waiting for db (TCP port 5432 accepts a connection)")
    assert capsys.readouterr().out == "up      waiting for db (TCP port 5432 accepts a connection)\n"


def test_a_stage_that_is_silent_for_long_prints_a_line(capsys, monkeypatch):
    screen = Screen()
    with screen.while_slow("down", "taking x down"):
        pass
    assert capsys.readouterr().out == ""
    monkeypatch.setattr(screens, "_SILENCE_SECONDS", 0)
    said = threading.Event()
    monkeypatch.setattr(screen, "say", lambda *words: said.set() if words == ("down", "taking x down") else None)
    with screen.while_slow("down", "taking x down"):
        assert said.wait(30)
