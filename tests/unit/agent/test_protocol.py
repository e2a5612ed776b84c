"""Lines of the agent's protocol, and errors that cross it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.agent import protocol
from testbed.errors import LabError, MachineError, UsageError

VALUES = st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.text(), max_size=3)


@given(st.dictionaries(st.text(), VALUES, max_size=4))
def test_a_message_is_one_line_and_comes_back(message):
    line = protocol.encode(message)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert protocol.decode(line) == message


@pytest.mark.parametrize("line", [b"", b"[]", b"3", b"{", b"\xff"])
def test_anything_else_is_refused(line):
    with pytest.raises(ValueError):
        protocol.decode(line)


@pytest.mark.parametrize("kind", [UsageError, MachineError, LabError])
def test_an_error_keeps_its_kind(kind):
    error = protocol.error_from_json(protocol.error_to_json(kind("some-code", "what was found", "what to do")))
    assert type(error) is kind
    assert (error.code, error.message, error.hint) == ("some-code", "what was found", "what to do")
