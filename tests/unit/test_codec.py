import json
import subprocess
import sys
from dataclasses import dataclass, field
from typing import ClassVar

import pytest

from testbed import codec
from testbed.codec import NOT_STORED, TextForm, UnreadableError, Variant


class Steady(Variant, frozen=True, kw_only=True):
    rate: int


class VeryBursty(Variant, frozen=True, kw_only=True):
    rate: int
    burst: int = 2

    def __post_init__(self):
        if self.burst < 1:
            raise ValueError(f"a burst of {self.burst}")


class Colour(TextForm):
    def __init__(self, name):
        self.name = name

    @classmethod
    def from_text(cls, text):
        if text not in ("red", "green"):
            raise ValueError(f"no colour is called {text!r}")
        return cls(text)

    def __str__(self):
        return self.name

    def __eq__(self, other):
        return isinstance(other, Colour) and self.name == other.name

    __hash__ = None  # type: ignore[assignment]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    OMIT_DEFAULTS: ClassVar = True

    pace: Steady | VeryBursty | None = None
    colours: tuple[Colour, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    DERIVED: ClassVar = ("count",)

    place: str = field(metadata=NOT_STORED)
    note: str = field(default="", metadata=NOT_STORED)
    parts: tuple[Part, ...]
    times: tuple[int, ...] = ()

    @property
    def count(self) -> int:
        return len(self.parts)


WHOLE = Whole(
    place="here",
    parts=(Part(), Part(pace=VeryBursty(rate=3)), Part(pace=Steady(rate=1), colours=(Colour("red"),))),
    times=(1, 2),
)
ENCODED = {
    "parts": [
        {},
        {"pace": {"kind": "very-bursty", "rate": 3, "burst": 2}},
        {"pace": {"kind": "steady", "rate": 1}, "colours": ["red"]},
    ],
    "times": [1, 2],
    "count": 3,
}


def test_a_value_goes_to_json_and_back():
    assert codec.encode(WHOLE) == ENCODED
    assert codec.decode(json.loads(json.dumps(ENCODED)), Whole, place="here") == WHOLE


@pytest.mark.parametrize(
    ("data", "path", "reason"),
    [
        ([], "", "expected `object`, got `array`"),
        ({}, "", "object missing required field `parts`"),
        ({"parts": 3}, "parts", "expected `array`, got `int`"),
        (
            {"parts": [{}, {"pace": {"kind": "steady", "rate": "fast"}}]},
            "parts[1].pace.rate",
            "expected `int`, got `str`",
        ),
        ({"parts": [{"pace": {"kind": "very-bursty", "rate": 1, "burst": 0}}]}, "parts[0].pace", "a burst of 0"),
        ({"parts": [{"pace": {"rate": 1}}]}, "parts[0].pace", "missing required field `kind`"),
        ({"parts": [{"pace": {"kind": "quick"}}]}, "parts[0].pace.kind", "invalid value 'quick'"),
        ({"parts": [{"pace": {"kind": "steady", "rate": 1, "burst": 2}}]}, "parts[0].pace", "unknown field `burst`"),
        ({"parts": [{"colours": ["red", "blue"]}]}, "parts[0].colours[1]", "no colour is called 'blue'"),
        ({"parts": [{"colours": [3]}]}, "parts[0].colours[0]", "expected `str`, got `int`"),
        ({"parts": [{"color": []}]}, "parts[0]", "unknown key 'color'"),
        ({"parts": [], "times": [1.5]}, "times[0]", "expected `int`, got `float`"),
        ({"parts": [], "times": [True]}, "times[0]", "expected `int`, got `bool`"),
    ],
)
def test_data_of_another_type_is_refused_with_its_path(data, path, reason):
    with pytest.raises(UnreadableError) as caught:
        codec.decode(data, Whole, place="here")
    assert caught.value.path == path
    assert reason in caught.value.reason


def test_the_schema_describes_the_stored_form():
    schema = codec.schema(Whole, "whole")
    whole = schema["$defs"]["Whole"]
    assert schema["$ref"] == "#/$defs/Whole"
    assert whole["required"] == ["parts"]
    assert whole["properties"].keys() == {"parts", "times", "count"}
    assert whole["properties"]["count"] == {"type": "integer", "readOnly": True}
    assert schema["$defs"]["Part"]["properties"]["pace"]["anyOf"][0]["discriminator"] == {
        "propertyName": "kind",
        "mapping": {"steady": "#/$defs/Steady", "very-bursty": "#/$defs/VeryBursty"},
    }


TYPES_IN_THREADS = """
import sys, threading
import msgspec
from testbed import codec

sys.setswitchinterval(1e-6)
parts = [msgspec.defstruct(f"Part{number}", [("value", int)]) for number in range(300)]
wholes = [msgspec.defstruct(f"Whole{number}", [("one", part), ("other", tuple[part, ...])])
          for number, part in enumerate(parts)]
together = threading.Barrier(8)

def decode():
    together.wait()
    for whole in wholes:
        assert codec.decode({"one": {"value": 1}, "other": [{"value": 2}]}, whole).other[0].value == 2

threads = [threading.Thread(target=decode) for _ in range(together.parties)]
for each in threads:
    each.start()
for each in threads:
    each.join()
"""


def test_threads_that_decode_new_types_at_once_do_not_end_the_process():
    done = subprocess.run([sys.executable, "-c", TYPES_IN_THREADS], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
