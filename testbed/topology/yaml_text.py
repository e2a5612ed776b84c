"""Data of a topology file as YAML text that is read back as the same data."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

import yaml

from testbed.topology.document import WrittenFloat, WrittenInteger

if TYPE_CHECKING:
    from collections.abc import Mapping

_NO_TEXT = re.compile(
    r"|~|null|Null|NULL|true|True|TRUE|false|False|FALSE|[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+"
    r"|[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?"
)
"""What YAML 1.2 reads as something else than text."""

WIDTH = 108
"""Columns of a comment or a value, without what is before it."""


class _Dumper(yaml.SafeDumper):
    """PyYAML's writer, with quotes around what YAML 1.2 would not read as text, and no aliases."""

    def ignore_aliases(self, _data: object) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = '"' if _NO_TEXT.fullmatch(text) else "|" if "\n" in text and text.isprintable() else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)
_Dumper.add_representer(
    WrittenInteger, lambda dumper, number: dumper.represent_scalar("tag:yaml.org,2002:int", number.text)
)
_Dumper.add_representer(
    WrittenFloat, lambda dumper, number: dumper.represent_scalar("tag:yaml.org,2002:float", number.text)
)
_Dumper.add_representer(type(None), lambda dumper, _: dumper.represent_scalar("tag:yaml.org,2002:null", ""))


def dumped(data: Mapping[str, object], *, flow: bool = False) -> list[str]:
    """Return the lines of a mapping: one for each key, and so on in mappings of several keys, or all in one line."""
    dumper = _Dumper(io.StringIO(), default_flow_style=None, sort_keys=False)  # lists of scalars in one line
    root = dumper.represent_data(dict(data))
    assert isinstance(root, yaml.MappingNode)  # noqa: S101  # it is made of a dict
    root.flow_style = flow
    for _, node in root.value:
        if isinstance(node, yaml.MappingNode) and len(node.value) > 1 and not flow:
            node.flow_style = False
    text = yaml.serialize(root, Dumper=_Dumper, allow_unicode=True, width=WIDTH)
    return str(text).rstrip("\n").splitlines()
