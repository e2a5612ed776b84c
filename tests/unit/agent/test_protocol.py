"""Lines of the agent's protocol, and errors that cross it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed import codec
from testbed.agent import messages, protocol
from testbed.errors import LabError, MachineError, UsageError
from testbed.impairments import CorrelatedLoss, Drop, Impairments
from testbed.matching import Match

VALUES = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text() | st.lists(st.text(), max_size=3)


@given(call=st.text(), arguments=st.dictionaries(st.text(), VALUES, max_size=4))
def test_a_message_is_one_line_and_comes_back(call, arguments):
    message = protocol.Message(call=call, arguments=arguments)
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
    error = protocol.error_of(protocol.error_message(kind("some-code", "what was found", "what to do")))
    assert error is not None
    assert type(error) is kind
    assert (error.code, error.message, error.hint) == ("some-code", "what was found", "what to do")


ENDS = {"source": "a", "destination": "b", "network": "lan"}


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"links": [{**ENDS, "impairments": {"delay_ns": "20ms"}}]}, r"impair: links\[0\].*"),
        ({"links": "all"}, "impair: links: expected `array`, got `str`"),
        ({}, "impair: object missing required field `links`"),
        ({"links": [], "all": True}, "impair: object contains unknown field `all`"),
        (None, "impair: expected `object`, got `null`"),
    ],
)
def test_a_wrong_message_names_the_field(arguments, reason):
    with pytest.raises(LabError, match=reason) as raised:
        protocol.read(arguments, messages.Impair, "impair")
    assert raised.value.code == "bad-message"


def test_every_call_comes_back_and_says_what_its_result_is():
    link = messages.LinkRequest(
        source="a",
        destination="b",
        network="lan",
        match=Match(protocol=17, port=((53, 53), (1024, 2047))),
        addresses={"a": ("198.18.0.2", "2001:2::2"), "b": ("198.18.0.3",)},
        impairments=Impairments(delay_ns=20_000_000, loss=CorrelatedLoss(probability=7, correlation=3)),
        later=(Impairments(drops=(Drop(numbers=(3,)),)),),
        seed=2**64 - 1,
        engine="auto",
        repeatable=True,
    )
    call = messages.Impair(links=(link,))
    received = protocol.decode(protocol.encode(protocol.call(call)))
    assert received.call == "impair"
    assert protocol.read(received.arguments, messages.Impair, "impair") == call
    chosen = (messages.ChosenEngine(engine="netem", why="asked for"),)
    assert protocol.read(codec.encode(chosen), call.result_type(), "result") == chosen
    names = [kind.call_name() for kind in messages.Call.__subclasses__()]
    assert len({*names}) == len({kind.__name__ for kind in messages.Call.__subclasses__()})
