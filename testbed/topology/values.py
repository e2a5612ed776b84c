"""The types of values in a topology file: how each is read, and its JSON Schema."""

import os
import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

from pydantic import Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import PydanticCustomError, core_schema

from testbed import units
from testbed.engines import CHOICES
from testbed.errors import UsageError
from testbed.topology.document import WrittenFloat, WrittenInteger
from testbed.topology.problems import quote

SMALLEST_MTU = 576
"""The size of IP packets that every host must accept, bytes (RFC 791, section 3.1)."""

LARGEST_MTU = 65_535
"""The size of the longest IPv4 packet, bytes; veth interfaces and bridges of Linux have no larger MTU."""

DERIVED_MACS = ("02:42:", "02:46:")
"""How the MACs begin that are derived from addresses: of IPv4, as Docker does, and of IPv6."""

Mtu = Annotated[int, Field(strict=True, ge=SMALLEST_MTU, le=LARGEST_MTU)]

if TYPE_CHECKING:
    Engine = str
else:  # for pydantic; type checkers only know literals that are written out
    Engine = Literal[CHOICES]

NAMESPACE_PATTERN = r"/[^\x00-\x1f]{1,1000}|[A-Za-z0-9_][A-Za-z0-9_.:@+-]{0,250}"
NAME_PATTERN = r"^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$"
"""A DNS label (RFC 1123, section 2.1), of at most 32 characters: names become host names and file names."""

LONGEST_NAME = 32
"""Characters of a name, as in `NAME_PATTERN`."""

_PART = r'([A-Za-z0-9_-]+|"[^"]+")'
SETTING_PATH = rf"^{_PART}(\.{_PART}|\[[0-9]{{1,4}}\])*$"
"""The path of a value in the file, as `testbed sweep` takes it."""


def fault(said: str, hint: str = "") -> PydanticCustomError:
    """Return the error of a wrong value of the right type; in the message, `said` follows the path."""
    return PydanticCustomError("bad-value", "{said}", {"said": said, "hint": hint})


def wrong_type(value: object, expected: str) -> PydanticCustomError:
    """Return the error of a value of the wrong type."""
    return PydanticCustomError("wrong-type", "{said}", {"said": f"{describe(value)}, must be {expected}", "hint": ""})


def describe(value: object) -> str:
    """Describe a value for a message: `is 5`, `is a list`."""
    if isinstance(value, dict):
        return "is a mapping"
    if isinstance(value, list):
        return "is a list"
    if value is None:
        return "has no value"
    return f"is {value.text}" if isinstance(value, WrittenInteger | WrittenFloat) else f"is {quote(value)}"


@dataclass(frozen=True, slots=True, eq=False)
class Reader:
    """Annotates a type with the function that reads its value from the file, and its JSON Schema."""

    read: Callable[[object], object]
    schema: JsonSchemaValue

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        """Validate with `read` only."""
        return core_schema.no_info_plain_validator_function(self.read)

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Return a copy of `schema`."""
        return dict(self.schema)


def text_of(value: object, expected: str = "text") -> str:
    """Return a scalar as it was written; also of numbers, for `PORT: 80` and `command: [sleep, 5]`."""
    if isinstance(value, WrittenInteger | WrittenFloat):
        return value.text
    if not isinstance(value, str):
        raise wrong_type(value, f"{expected} (put it in quotes)" if isinstance(value, bool) else expected)
    if "\0" in value:
        raise fault("holds a NUL character")
    return value


def _name(value: object) -> str:
    text = text_of(value, "a name")
    if not re.fullmatch(NAME_PATTERN, text):
        hint = "lower-case letters, digits and hyphens, at most 32, no hyphen at either end: it becomes a host name"
        raise PydanticCustomError(
            "bad-name", "{said}", {"said": f"is {quote(text)}, which is not a name", "hint": hint}
        )
    return text


def matching(pattern: str, expected: str, example: str) -> Reader:
    """Return a reader of text that matches `pattern`."""

    def read(value: object) -> str:
        text = text_of(value, expected)
        if not re.fullmatch(pattern, text):
            raise fault(f"is {quote(text)}, which is not {expected}", f"write it like {example}")
        return text

    return Reader(read, {"type": "string", "pattern": pattern, "examples": [example]})


def _quantity(quantity: units.Quantity | units.Probability, *, least: int = 0, most: int = units.LARGEST) -> Reader:
    """Return a reader of a quantity with its unit, from `least` to `most`."""

    def read(value: object) -> int:
        text = text_of(value, quantity.noun)
        try:
            number = quantity.parse(text)
        except ValueError as error:
            raise fault(f"is wrong: {error}") from None
        if number < least:
            raise fault(f"is {quote(text)}, must be at least {quantity.format(least)}")
        if number > most:
            raise fault(f"is {quote(text)}, must be at most {quantity.format(most)}")
        return number

    types: list[str] = ["string"] if least else ["string", "integer"]
    zero = {} if least else {"minimum": 0, "maximum": 0}
    return Reader(read, {"type": types, "pattern": quantity.pattern, "examples": list(quantity.examples), **zero})


def _cpus(value: object) -> int:
    try:
        milli = units.parse_cpus(text_of(value, "a number"))
    except ValueError as error:
        raise fault(f"is wrong: {error}") from None
    if not milli:
        raise fault("is 0, must be more")
    return milli


def _cpu_set(value: object) -> str:
    text = text_of(value, "numbers of CPUs")
    try:
        return units.format_cpu_set(units.parse_cpu_set(text))
    except ValueError as error:
        raise fault(f"is {quote(text)}, {error}", "write it like 0-1,3; the first CPU is 0") from None


def _burst(value: object) -> Fraction:
    text = text_of(value, "a number of packets")
    if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,6})?", text) or Fraction(text) < 1:
        raise fault(f"is {quote(text)}, must be a number of packets from 1 to 999999, such as 4 or 2.5")
    return Fraction(text)


def _command(value: object) -> tuple[str, ...]:
    if isinstance(value, list):
        return tuple(text_of(word, "a word of the command") for word in value)
    text = text_of(value, "a command: text or a list of words")
    try:
        return tuple(shlex.split(text))
    except ValueError as error:
        raise fault(f"is {quote(text)}, which a shell would not read either: {error}") from None


def command_words(command: object) -> list[str]:
    """Return the words of a command given to the Python API, by the same rules as in a topology file.

    Args:
        command: text, split as by a shell, or words; numbers and paths are converted to text.

    Raises:
        UsageError: `bad-command`: it is not a command.
    """
    hint = 'write it like "ls -l" or ["ls", "-l"]'
    plain = [_written(word) for word in command] if isinstance(command, list | tuple) else _written(command)
    try:
        words = list(_command(plain))
    except PydanticCustomError as error:
        context = error.context or {}
        raise UsageError("bad-command", f"the command {context['said']}", context["hint"] or hint) from None
    if not words:
        raise UsageError("bad-command", "the command is empty", hint)
    return words


def _written(value: object) -> object:
    """Convert a number or a path to its text; return other values unchanged."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def _http_version(value: object) -> str:
    text = text_of(value, "a version of HTTP")
    if text not in ("1.1", "2"):
        raise fault(f"is {quote(text)}, must be 1.1 or 2")
    return text


def _namespace(value: object) -> str:
    text = text_of(value, "a network namespace: a name of ip netns, the pid of a process in it, or a path")
    if not re.fullmatch(NAMESPACE_PATTERN, text):
        said = f"is {quote(text)}, which is no network namespace's name, pid or path"
        raise fault(said, "write it like blue, 4711 or /run/netns/blue")
    return text


def _mac(value: object) -> str:
    hint = "write it like 02:00:5e:10:00:01"
    text = text_of(value, "a MAC address").lower()
    if not re.fullmatch(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}", text):
        raise fault(f"is {quote(text)}, which is not a MAC address", hint)
    octets = bytes.fromhex(text.replace(":", ""))
    if octets[0] & 1 or not any(octets):
        raise fault(f"is {quote(text)}, which is no address of one interface (unicast)", "make the first byte even")
    if text.startswith(DERIVED_MACS):
        said = f"is {quote(text)}, but MACs that begin with {' or '.join(DERIVED_MACS)} are derived from addresses"
        raise fault(said, f"another node may have it: {hint}")
    return text


def following_mac(mac: str, number: int) -> str:
    """Return the MAC address that comes a number of places after another."""
    octets = (int(mac.replace(":", ""), 16) + number) % (1 << 48)
    return octets.to_bytes(6, "big").hex(":")


def schema_of(annotated: Any) -> JsonSchemaValue:  # noqa: ANN401
    """Return the JSON Schema of one of the types below, for types that also have other forms."""
    return next(argument.schema for argument in get_args(annotated) if isinstance(argument, Reader))


def written_like(*examples: str) -> dict[str, Any]:
    """Return the JSON Schema of text that is written like the examples."""
    return {"type": "string", "examples": list(examples)}


Mac = Annotated[str, Reader(_mac, written_like("02:00:5e:10:00:01"))]
Name = Annotated[str, Reader(_name, {"type": "string", "pattern": NAME_PATTERN})]
Text = Annotated[str, Reader(text_of, {"type": ["string", "number"]})]
Image = Annotated[str, matching(r"^[a-zA-Z0-9][\w.:/@-]{0,255}$", "an image", "nginx:1.27")]
DockerName = Annotated[
    str, matching(r"^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,199}$", "a name that the Docker Engine knows", "shop-web-1")
]
Endpoint = Annotated[
    str,
    matching(
        r"^((ssh|tcp|unix)://[!-~]{1,1000}|[a-zA-Z0-9][a-zA-Z0-9_.+-]{0,199})$",
        "the address of a Docker Engine, or the name of a Docker context",
        "ssh://user@east.example, tcp://198.18.0.1:2376, unix:///run/docker.sock or a context's name",
    ),
]
Namespace = Annotated[str, Reader(_namespace, {"type": ["string", "integer"], "examples": ["blue", 4711]})]
Variable = Annotated[str, matching(r"^[A-Za-z_][A-Za-z0-9_]{0,255}$", "a variable's name", "HTTP_PORT")]
Sysctl = Annotated[
    str, matching(r"^net\.[a-z0-9_.]{1,100}$", "a sysctl of the network stack", "net.ipv4.tcp_congestion_control")
]
SettingPath = Annotated[str, matching(SETTING_PATH, "the path of a value", "links[0].loss")]
RequestPath = Annotated[str, matching(r"^/[!-~]{0,1000}$", "a path", "/index.html")]
BodySize = Annotated[int, _quantity(units.SIZE, least=1, most=10**8)]
"""Bytes of the body of a request, which is held in memory."""
HeaderName = Annotated[str, matching(r"^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}$", "the name of a header", "Accept")]
HeaderValue = Annotated[str, matching(r"^[!-~]([ -~]{0,998}[!-~])?$", "the value of a header", "text/html")]
HttpVersion = Annotated[str, Reader(_http_version, {"enum": ["1.1", "2", 1.1, 2]})]
Congestion = Annotated[str, matching(r"^[a-z][a-z0-9_]{0,14}$", "a congestion control", "cubic")]
Duration = Annotated[int, _quantity(units.DURATION)]
SomeDuration = Annotated[int, _quantity(units.DURATION, least=1)]
Rate = Annotated[int, _quantity(units.RATE)]
SomeRate = Annotated[int, _quantity(units.RATE, least=1)]
Overhead = Annotated[int, _quantity(units.SIZE, most=1000)]
SomeSize = Annotated[int, _quantity(units.SIZE, least=1)]
SnapSize = Annotated[int, _quantity(units.SIZE, least=64, most=1 << 16)]
"""Bytes captured of each packet: at least the headers up to TCP's without options, at most the longest IP packet."""
CaptureSize = Annotated[int, _quantity(units.SIZE, least=10**6)]
DatagramSize = Annotated[int, _quantity(units.SIZE, least=16, most=65507)]
"""Bytes of a UDP or ICMP payload: at least a sequence number and a time, at most what IPv4 carries."""
Probability = Annotated[int, _quantity(units.PROBABILITY)]
Cpus = Annotated[int, Reader(_cpus, {"type": "number", "exclusiveMinimum": 0, "examples": [0.5]})]
CpuSet = Annotated[str, Reader(_cpu_set, {"type": ["string", "integer"], "examples": ["0-1,3"]})]
Burst = Annotated[Fraction, Reader(_burst, {"type": "number", "minimum": 1, "maximum": 999_999, "examples": [4]})]
Command = Annotated[
    tuple[str, ...],
    Reader(_command, {"type": ["string", "array"], "items": {"type": ["string", "number"]}, "examples": ["sleep 60"]}),
]
ExpectationText = Annotated[
    str,
    Reader(
        lambda value: text_of(value, "an expectation"),
        {"type": "string", "examples": ["download.goodput >= 5 mbit", "voice.loss <= 5%"]},
    ),
]
Count = Annotated[int, Field(strict=True, ge=1, le=10_000_000)]
Port = Annotated[int, Field(strict=True, ge=1, le=65535)]
Flag = Annotated[bool, Field(strict=True)]
