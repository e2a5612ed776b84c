"""What a person sees, as it was given."""

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
