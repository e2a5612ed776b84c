"""Files that a topology refers to: measured delays, traces of a bottleneck."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic_core import PydanticCustomError, core_schema

from testbed.topology.problems import Problem, quote
from testbed.topology.values import fault, text_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import BinaryIO

    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationInfo
    from pydantic.json_schema import JsonSchemaValue

    Parse = Callable[[BinaryIO, str], object]
    """What makes a value of an open file and its name.

Where it can't, it raises ContentError, or ValueError with the line."""

MOST_BYTES = 1 << 28
"""Of a file that a topology names: several times as much as Mahimahi's longest trace."""


class ContentFault(NamedTuple):
    """A fault in a referenced file.

    Attributes:
        line, column: where, from 1.
        code: kebab-case name of the kind of fault.
        said: follows the file's name in the message.
        hint: what to write instead; empty where nothing can be said.
    """

    line: int
    column: int
    code: str
    said: str
    hint: str = ""


class ContentError(ValueError):
    """The content of a referenced file is wrong; with all faults, each at its place in that file."""

    def __init__(self, faults: Iterable[ContentFault]) -> None:
        self.faults = tuple(faults)
        super().__init__(self.faults[0].said)


@dataclass(frozen=True, slots=True)
class Files:
    """Reads the files that a topology may refer to: regular files below its own directory. The validation context.

    Each is read once, so that all parts of a topology see the same.

    Attributes:
        models: of the parts of the file that are valid, by the identity of their raw data; see `base.Recorded`.
    """

    directory: Path
    parsed: dict[tuple[str, Parse], object] = field(default_factory=dict)
    models: dict[int, object] = field(default_factory=dict)

    def read(self, name: str, parse: Parse) -> object:
        """Parse a file with `parse`.

        Raises:
            PydanticCustomError: there is no such file, or it is not what it should be.
        """
        if (name, parse) not in self.parsed:
            self.parsed[name, parse] = self._parsed(name, parse)
        return self.parsed[name, parse]

    def _parsed(self, name: str, parse: Parse) -> object:
        inside = PurePosixPath(name)
        if inside.is_absolute() or ".." in inside.parts:
            raise fault(f"is {quote(name)}, which is not below the topology's directory", "put it beside the topology")
        path = self.directory / inside
        try:
            if not path.is_file():
                raise fault(f"is {quote(name)}, and {quote(str(path))} is no file", "name a file beside the topology")
            with path.open("rb") as file:
                if os.fstat(file.fileno()).st_size > MOST_BYTES:
                    raise fault(f"is {quote(name)}, which has more than {MOST_BYTES} bytes", "cut it shorter")
                return parse(file, name)
        except PydanticCustomError:  # a ValueError too
            raise
        except ContentError as error:
            problems = [Problem(str(path), one.line, one.column, one.code, one.said, one.hint) for one in error.faults]
            raise PydanticCustomError("bad-content", "{problems}", {"problems": problems}) from None
        except OSError as error:
            said = f"is {quote(name)}, which cannot be read: {error.strerror}"
            raise fault(said, "let this user read it, or name another") from None
        except ValueError as error:
            raise fault(f"is {quote(name)}, whose content is wrong: {error}") from None


@dataclass(frozen=True, slots=True, eq=False)
class Beside:
    """Annotates a type whose value is in a file, which the topology names."""

    parse: Parse
    examples: tuple[str, ...]

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        """Read from the `Files` that are the context; without one, from below the working directory."""
        return core_schema.with_info_plain_validator_function(self._read)

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """The file's name."""
        return {"type": "string", "examples": list(self.examples)}

    def _read(self, value: object, info: ValidationInfo[Any]) -> object:
        files = info.context or Files(Path())
        return files.read(text_of(value, "the name of a file"), self.parse)
