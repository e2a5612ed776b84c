"""The types of values of a node's service keys: volumes, ports, limits; how each is read, and its JSON Schema."""

import re
import signal
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address, ip_address
from pathlib import Path
from typing import Annotated, Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationInfo
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import PydanticCustomError, core_schema

from testbed.services import CAPABILITIES, ULIMITS, Device, PublishedPort, Tmpfs, Volume
from testbed.topology import env_files
from testbed.topology.problems import nearest, quote
from testbed.topology.referenced_files import Files
from testbed.topology.values import Reader, describe, fault, matching, text_of, wrong_type

_MOST_ENV_BYTES = 1 << 18
_RESERVED_LABELS = "testbed."
_TMPFS_FLAGS = ("ro", "rw", "exec", "noexec", "suid", "nosuid", "dev", "nodev")
_TMPFS_VALUES = re.compile(r"(size|mode|uid|gid|nr_inodes)=[0-9]+[kmgKMG%]?")


@dataclass(frozen=True, slots=True, eq=False)
class LocalReader:
    """Annotates a type whose value refers to files of this machine; paths are relative to the topology's directory."""

    read: Callable[[object, Path], object]
    schema: JsonSchemaValue

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        """Validate with `read`, and the directory of the context's `Files`; without one, the working directory."""
        return core_schema.with_info_plain_validator_function(self._read)

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Return a copy of `schema`."""
        return dict(self.schema)

    def _read(self, value: object, info: ValidationInfo[Any]) -> object:
        return self.read(value, directory_of(info))


def directory_of(info: ValidationInfo[Any]) -> Path:
    """Return the topology's directory."""
    files: Files = info.context or Files(Path())
    return files.directory


@dataclass(frozen=True, slots=True)
class OneOrMany:
    """Annotates a list: a value that is none stands for a list with only that."""

    schema: JsonSchemaValue

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        """A list as it is, anything else in one."""
        return core_schema.no_info_before_validator_function(
            lambda value: value if isinstance(value, list | tuple) else [value], handler(source)
        )

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Either form."""
        return {"anyOf": [self.schema, handler(schema)]}


def located(directory: Path, path: str) -> Path:
    """Return where a path of the file is; `~` is the user's home directory."""
    return directory / Path(path).expanduser()


def _in_node(text: str, path: str) -> str:
    """Return a path in a node, without a slash at its end."""
    if not re.fullmatch(r"/[^:\0]+", path) or ".." in path.split("/"):
        raise fault(f"is {quote(text)}, and {quote(path)} is not an absolute path below /", "write it like /srv/data")
    return path.rstrip("/")


def _volume(value: object, directory: Path) -> Volume:
    text = text_of(value, "a volume")
    source, *rest = text.split(":")
    hint = "write it like ./site:/usr/share/nginx/html:ro"
    if not rest or len(rest) > 2 or rest[1:] not in ([], ["ro"], ["rw"]):  # noqa: PLR2004
        raise fault(f"is {quote(text)}, which is not SOURCE:TARGET, SOURCE:TARGET:ro or SOURCE:TARGET:rw", hint)
    if not source.startswith((".", "/", "~")):
        more = f"write ./{source} for a directory beside the file, or tmpfs: {rest[0]} for scratch space"
        raise fault(f"is {quote(text)}, and {quote(source)} is the name of a volume: there are only paths here", more)
    target = _in_node(text, rest[0])
    if not (found := located(directory, source)).exists():
        raise PydanticCustomError(
            "no-such-file",
            "{said}",
            {"said": f"is {quote(text)}, and {quote(str(found))} does not exist", "hint": "create it, or name another"},
        )
    return Volume(source=source, target=target, read_only=rest[1:] == ["ro"])


def _tmpfs(value: object) -> Tmpfs:
    text = text_of(value, "a path")
    path, _, options = text.partition(":")
    chosen = tuple(options.split(",")) if options else ()
    for option in chosen:
        if option not in _TMPFS_FLAGS and not _TMPFS_VALUES.fullmatch(option):
            allowed = f"options are: {', '.join(_TMPFS_FLAGS)}, size=64m, mode=1777, uid=0, gid=0, nr_inodes=1k"
            raise fault(f"is {quote(text)}, and {quote(option)} is not an option of tmpfs", allowed)
    return Tmpfs(target=_in_node(text, path), options=chosen)


_PORT = re.compile(r"(?:(?:([0-9.]+):)?([0-9]{1,5})?:)?([0-9]{1,5})(?:/([a-z]+))?")


def _published_port(value: object) -> PublishedPort:
    text = text_of(value, "a port")
    hint = 'write it like "8080:80", "127.0.0.1:8080:80" or "5353:53/udp"; "80" publishes it on any free port'
    if re.search(r"[0-9]-[0-9]", text):
        raise fault(f"is {quote(text)}, which is a range", "write one entry for each port")
    match = _PORT.fullmatch(text)
    if match is None:
        raise fault(f"is {quote(text)}, which is not [[ADDRESS:]PORT:]PORT[/tcp or /udp]", hint)
    address, host_port, port, protocol = match.groups()
    for number in (host_port, port):
        if number is not None and not 1 <= int(number) <= 65535:  # noqa: PLR2004
            raise fault(f"is {quote(text)}, and {number} is not a port: 1 to 65535", hint)
    if (protocol or "tcp") not in ("tcp", "udp"):
        raise fault(f"is {quote(text)}, and {quote(protocol)} is neither tcp nor udp", hint)
    try:
        address = str(IPv4Address(address)) if address else ""
    except ValueError:
        raise fault(f"is {quote(text)}, and {quote(address)} is no IPv4 address", hint) from None
    return PublishedPort(
        port=int(port), host_port=int(host_port or 0), host_address=address, protocol=protocol or "tcp"
    )


def _capability(value: object) -> str:
    text = text_of(value, "a capability")
    name = text.upper().removeprefix("CAP_")
    if name not in ("ALL", *CAPABILITIES):
        hint = nearest(name, ("ALL", *CAPABILITIES), "capabilities")
        raise fault(f"is {quote(text)}, which is not a capability", hint)
    return name


def _device(value: object) -> Device:
    text = text_of(value, "a device")
    match = re.fullmatch(r"(/[^:\0]+)(?::(/[^:\0]+))?(?::([rwm]{1,3}))?", text)
    if match is None:
        raise fault(f"is {quote(text)}, which is not a device", "write it like /dev/net/tun, or /dev/sdb:/dev/xvdb:r")
    return Device(host=match[1], container=match[2] or match[1], permissions=match[3] or "rwm")


def _ulimit_name(value: object) -> str:
    text = text_of(value, "a name")
    if text not in ULIMITS:
        raise fault(f"{quote(text)}, which is not a limit", nearest(text, ULIMITS, "limits"))
    return text


def _ulimit(value: object) -> tuple[int, int]:
    """Soft and hard limit."""
    ends = (value.get("soft"), value.get("hard")) if isinstance(value, dict) else (value, value)
    if isinstance(value, dict) and value.keys() != {"soft", "hard"}:
        raise fault("is a mapping, which must have soft and hard", "write it like {soft: 1024, hard: 4096}")
    soft, hard = ends
    for end in ends:
        if isinstance(end, bool) or not isinstance(end, int) or end < -1:
            raise fault(f"{describe(end)}, which is not a whole number", "write it like 1024; -1 is no limit")
    if not isinstance(soft, int) or not isinstance(hard, int):  # for the type checker; the loop has seen to it
        raise wrong_type(value, "a whole number")
    if hard != -1 and not 0 <= soft <= hard:
        raise fault(f"is {soft}, and the hard limit is {hard}", "the soft limit is at most the hard one")
    return int(soft), int(hard)


def _host_entry(value: object) -> tuple[str, str]:
    text = text_of(value, "a name and an address")
    name, _, address = text.partition("=" if "=" in text else ":")
    if not re.fullmatch(_HOST, name):
        raise fault(f"is {quote(text)}, which is not NAME:ADDRESS", 'write it like "db.example:198.18.7.20"')
    return name, _ip(address)


def _ip(value: object) -> str:
    text = text_of(value, "an address")
    try:
        return str(ip_address(text.strip("[]")))
    except ValueError:
        raise fault(f"is {quote(text)}, which is no IP address", "write it like 198.18.7.20") from None


def _signal(value: object) -> str:
    text = text_of(value, "a signal")
    name = f"SIG{text.upper().removeprefix('SIG')}"
    if text.isdecimal() and int(text) in {*signal.Signals}:
        name = signal.Signals(int(text)).name
    names = [each.name for each in signal.Signals]
    if name not in names:
        raise fault(f"is {quote(text)}, which is not a signal", nearest(name, names, "signals"))
    return name


def _restart(value: object) -> str:
    if value is False:  # `no`, as YAML 1.1 reads it
        return "no"
    text = text_of(value, "a restart policy")
    if not re.fullmatch(r"no|always|unless-stopped|on-failure(:[1-9][0-9]{0,3})?", text):
        allowed = ("no", "always", "unless-stopped", "on-failure", "on-failure:3")
        raise fault(f"is {quote(text)}, which is not a restart policy", nearest(text, allowed, "policies"))
    return text


def _label_entry(value: object) -> tuple[str, str]:
    name, _, text = text_of(value, "a label").partition("=")
    return _label_name(name), text


def _label_name(value: object) -> str:
    text = text_of(value, "a label's name")
    if not text or text.startswith(_RESERVED_LABELS):
        raise fault(f"is {quote(text)}, and testbed.* are the testbed's own", "give it another name")
    return text


def _argument_entry(value: object) -> tuple[str, str]:
    name, equals, text = text_of(value, "a build argument").partition("=")
    if not equals or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        raise fault(f"is {quote(name)}, which is not NAME=VALUE", "write it like VERSION=1.2")
    return name, text


def _true(value: object) -> bool:
    if value is not True:
        raise fault(f"{describe(value)}, must be true", "leave it out to have no such condition")
    return True


def _pattern(value: object) -> str:
    text = text_of(value, "a regular expression")
    try:
        re.compile(text)
    except re.error as error:
        hint = "escape ( ) [ ] . + with \\"
        raise fault(f"is {quote(text)}, which is no regular expression: {error}", hint) from None
    if not text:
        raise fault("is empty, and would match every line", "name a part of the line")
    return text


def _variables(value: object, directory: Path) -> dict[str, str]:
    """The variables in a file."""
    text = text_of(value, "the name of a file")
    path = located(directory, text)
    try:
        if not path.is_file():
            raise PydanticCustomError(
                "no-such-file",
                "{said}",
                {"said": f"is {quote(text)}, and {quote(str(path))} is no file", "hint": "create it, or name another"},
            )
        with path.open("rb") as file:
            content = file.read(_MOST_ENV_BYTES + 1)
    except OSError as error:
        raise fault(f"is {quote(text)}, which cannot be read: {error.strerror}") from None
    if len(content) > _MOST_ENV_BYTES:
        raise fault(f"is {quote(text)}, which has more than {_MOST_ENV_BYTES} bytes")
    try:
        return env_files.parse(content.decode("utf-8-sig"))
    except ValueError as error:
        reason = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
        raise fault(f"is {quote(text)}, and {reason}", "each line is NAME=VALUE, or starts with #") from None


_HOST = r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,251}[A-Za-z0-9_])?"
_TEXT: JsonSchemaValue = {"type": "string"}


def _text(*examples: str) -> JsonSchemaValue:
    return {"type": "string", "examples": list(examples)}


VolumeText = Annotated[Volume, LocalReader(_volume, _text("./site:/usr/share/nginx/html:ro"))]
TmpfsText = Annotated[Tmpfs, Reader(_tmpfs, _text("/run", "/scratch:size=64m"))]
PortText = Annotated[
    PublishedPort, Reader(_published_port, {"type": ["string", "integer"], "examples": ["8080:80", "5353:53/udp"]})
]
Capability = Annotated[str, Reader(_capability, {"type": "string", "examples": ["NET_ADMIN"]})]
DeviceText = Annotated[Device, Reader(_device, _text("/dev/net/tun"))]
UlimitName = Annotated[str, Reader(_ulimit_name, {"enum": list(ULIMITS)})]
UlimitValue = Annotated[
    tuple[int, int],
    Reader(
        _ulimit,
        {
            "anyOf": [
                {"type": "integer", "minimum": -1},
                {
                    "type": "object",
                    "properties": {
                        "soft": {"type": "integer", "description": "What counts; -1 is none", "examples": [1024]},
                        "hard": {"type": "integer", "description": "The most it can be raised to", "examples": [4096]},
                    },
                    "required": ["soft", "hard"],
                    "additionalProperties": False,
                },
            ]
        },
    ),
]
HostEntry = Annotated[tuple[str, str], Reader(_host_entry, _text("db.example:198.18.7.20"))]
HostName = Annotated[str, matching(rf"^{_HOST}$", "a host name", "web.example.org")]
OwnHostName = Annotated[
    str, matching(r"^[A-Za-z0-9_]([A-Za-z0-9_.-]{0,62}[A-Za-z0-9_])?$", "a host name", "web.example.org")
]
"""Of a node itself: at most 64 characters, as the kernel's (`__NEW_UTS_LEN`, include/uapi/linux/utsname.h)."""
Ip = Annotated[str, Reader(_ip, _text("198.18.7.20"))]
Signal = Annotated[str, Reader(_signal, {"type": ["string", "integer"], "examples": ["SIGQUIT"]})]
RestartPolicy = Annotated[
    str, Reader(_restart, {"type": ["string", "boolean"], "examples": ["no", "always", "on-failure:3"]})
]
LabelEntry = Annotated[tuple[str, str], Reader(_label_entry, _text("team=net"))]
LabelName = Annotated[str, Reader(_label_name, _TEXT)]
ArgumentEntry = Annotated[tuple[str, str], Reader(_argument_entry, _text("VERSION=1.2"))]
_ID = r"[A-Za-z0-9_][\w.-]{0,31}"
User = Annotated[str, matching(rf"^{_ID}(:{_ID})?$", "a user", "www-data:www-data")]
NodePath = Annotated[str, matching(r"^/[^:\0]{0,4000}$", "an absolute path", "/srv")]
Platform = Annotated[str, matching(r"^[a-z0-9]+/[a-z0-9_]+(/[a-z0-9]+)?$", "a platform", "linux/arm64")]
OnlyTrue = Annotated[bool, Reader(_true, {"const": True})]
LogPattern = Annotated[str, Reader(_pattern, _text("ready to accept connections"))]
EnvFile = Annotated[dict[str, str], LocalReader(_variables, _text("./server.env"))]
