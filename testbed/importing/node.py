"""A node in the making: how values that several formats have become keys of a node."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from testbed.importing import values
from testbed.importing.source import CHANGED, DECIDE, LEFT_OUT
from testbed.topology import env_files
from testbed.topology.problems import quote

if TYPE_CHECKING:
    from pathlib import Path as FilePath

    from testbed.importing.draft import Draft
    from testbed.importing.source import Source
    from testbed.topology.document import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeMaker:
    """Gives a node of the draft keys, from values of the imported file.

    Attributes:
        name: of the node.
        base, target: directories of the file and of the topology.
    """

    source: Source
    draft: Draft
    name: str
    base: FilePath
    target: FilePath

    def set(self, key: str, value: object, origin: Path) -> None:
        """Give the node a value for a key."""
        self.draft.set(self.name, key, value, origin)

    def add(self, key: str, value: object, origin: Path) -> None:
        """Append a value to the node's list at a key."""
        self.draft.add(self.name, key, value, origin)

    def put(self, key: str, name: str, value: object, origin: Path) -> None:
        """Give the node's mapping at a key a value for a name."""
        self.draft.put(self.name, key, name, value, origin)

    def text(self, path: Path, key: str) -> None:
        """Text, as it is."""
        if text := self.source.text(path):
            self.set(key, text, path)

    def texts(self, path: Path, key: str) -> None:
        """A text or a list of them."""
        is_list = isinstance(self.source.get(path), list)
        for index, text in enumerate(self.source.texts(path)):
            self.add(key, text, (*path, index) if is_list else path)

    def words(self, path: Path, key: str) -> None:
        """A command or entrypoint: text is split as a shell would, in all formats."""
        is_list = isinstance(self.source.get(path), list)
        words = self.source.texts(path) if is_list else self.split(path)
        if words:
            self.set(key, words, path)
        else:
            said = "an empty one takes away the image's own, which a topology can't"
            self.source.note(path, LEFT_OUT, said)

    def split(self, path: Path) -> list[str]:
        """Return the words of the text at `path`; none, with an error, where a quote does not end."""
        try:
            return shlex.split(self.source.text(path))
        except ValueError as error:
            self.source.error(path, "bad-value", f"can't be split into words: {error}", "write it as a list")
            return []

    def flag(self, path: Path, key: str) -> None:
        """True or false."""
        if self.source.flag(path):
            self.set(key, value=True, origin=path)

    def pairs(self, path: Path, key: str) -> None:
        """Names and values, as a mapping or a list of NAME=VALUE."""
        is_list = isinstance(self.source.get(path), list)
        for index, (name, value) in enumerate(self.source.pairs(path).items()):
            at = (*path, index) if is_list else (*path, name)
            if value is None:
                hint = "write its value, if the node needs it"
                self.source.note(at, DECIDE, f"{name} has no value here: it would be the environment's", hint)
            else:
                self.put(key, name, value, at)

    def size(self, path: Path, key: str, *, kilo: int = 1024) -> None:
        """A size; see `values.size`."""
        try:
            self.set(key, values.size(self.source.text(path), kilo=kilo), path)
        except ValueError as error:
            self.source.error(path, "bad-value", str(error), "write it like 64m")

    def cpus(self, path: Path) -> None:
        """A number of cores."""
        text = self.source.text(path)
        try:
            self.set("cpus", int(text) if text.isdecimal() else float(text), path)
        except ValueError:
            self.source.error(path, "bad-value", f"is {quote(text)}, which is no number of cores", "write it like 0.5")

    def pids_limit(self, path: Path) -> None:
        """A number of processes; less than 1 is no limit."""
        text = self.source.text(path)
        try:
            number = int(text)
        except ValueError:
            self.source.error(path, "bad-value", f"is {quote(text)}, which is no number", "write it like 100")
            return
        if number > 0:
            self.set("pids_limit", number, path)

    def env_file(self, path: Path, name: str) -> None:
        """A file of variables, which has to be there."""
        file = self.base / name
        if not file.is_file():
            self.source.note(path, DECIDE, f"{quote(name)} is no file, so its variables are missing", "create it")
            return
        try:
            used = [name for name, value in env_files.parse(file.read_text(errors="replace")).items() if "$" in value]
        except ValueError:  # validation says so
            used = []
        if used:
            self.source.note(path, CHANGED, f"{', '.join(used)} in it has a $, which is taken literally here")
        self.add("env_file", values.moved(name, self.base, self.target), path)

    def volume(self, path: Path, origin: str, where: str, *, read_only: bool) -> None:
        """A file or directory of this machine, or a named volume, which has no counterpart."""
        if not origin.startswith(("/", "~", ".")):
            said = f"there are no named volumes: data below {where} stay in the container, and go with the lab"
            self.source.note(path, LEFT_OUT, said, f"to keep them, write volumes: [./DIRECTORY:{where}]")
            return
        self.add("volumes", f"{values.moved(origin, self.base, self.target)}:{where}{':ro' * read_only}", path)

    def ports(self, path: Path, text: str) -> None:
        """A published port, or a range of them."""
        try:
            for port in values.ports(text):
                self.add("ports", port, path)
        except ValueError as error:
            self.source.note(path, LEFT_OUT, f"{quote(text)} {error}")

    def pull_policy(self, path: Path) -> None:
        """When an image is pulled."""
        given = self.source.text(path)
        policy = {"if_not_present": "missing", "ifnotpresent": "missing"}.get(given.lower(), given.lower())
        if policy in ("always", "missing", "never"):
            self.set("pull_policy", policy, path)
        else:
            self.source.note(path, LEFT_OUT, f"there is no policy {quote(given)}")

    def healthcheck(self, path: Path, *, start_key: str = "start_period") -> None:
        """Docker's HEALTHCHECK as `ready`: when it would have failed for good, the node is not ready.

        Times without a unit are seconds. It is tried at once, and at least once a second: labs come up fast.
        """
        source = self.source
        test, words = source.get((*path, "test")), source.texts((*path, "test"))
        if source.flag((*path, "disable")) or words[:1] == ["NONE"]:
            return
        ready: dict[str, object] = {"healthcheck": True}
        if isinstance(test, str) or words[:1] == ["CMD-SHELL"]:
            ready = {"command": ["sh", "-c", words[-1]]}
        elif words[:1] == ["CMD"]:
            ready = {"command": words[1:]}
        elif words:
            said = "must begin with CMD, CMD-SHELL or NONE"
            source.error((*path, "test"), "bad-value", said, 'write it like ["CMD", "pg_isready"]')
            return
        times = {"interval": 30 * 10**9, "timeout": 30 * 10**9, start_key: 0}
        for key in times:
            if text := source.text((*path, key)):
                try:
                    times[key] = values.duration_ns(f"{text}s" if text.isdecimal() else text)
                except ValueError as error:
                    source.error((*path, key), "bad-value", str(error), "write it like 30s")
        retries = source.text((*path, "retries")) or "3"
        count = int(retries) if retries.isdecimal() else 3
        limit = times[start_key] + max(1, count) * (times["interval"] + times["timeout"])
        ready |= {"timeout": values.duration(limit), "interval": values.duration(min(times["interval"], 10**9))}
        self.set("ready", ready, path)
