"""The nodes and links of a lab that is up, for the public API."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Self

from testbed import arguments, interruption
from testbed.agent import messages
from testbed.errors import UsageError
from testbed.lab import bringup
from testbed.lab.breaking import Breakable, BringAbout

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from testbed.agent.client import Agent
    from testbed.impairments import Impairments
    from testbed.matching import LinkKey
    from testbed.plan.model import Link, Plan
    from testbed.plan.nodes import Node
    from testbed.runtime import Completed, Program, Runtime


def argv_of(command: Sequence[str] | str) -> Sequence[str]:
    """Return the words of a command.

    Raises:
        UsageError: `bad-command`: the value is not a command.
    """
    is_list = isinstance(command, list | tuple) and bool(command)
    if is_list and all(type(word) is str and "\0" not in word for word in command):
        return command
    from testbed.topology.values import command_words  # noqa: PLC0415  # slow to import and seldom needed

    return command_words(command)


class Running:
    """A program that runs in a node. Used as a context manager, it is killed at the end."""

    def __init__(self, program: Program, described: str) -> None:
        self._program = program
        self._described = described

    def __repr__(self) -> str:
        return f"<{self._described}>"

    def __iter__(self) -> Iterator[str]:
        """Yield the lines of its standard output until it ends."""
        return iter(self._program)

    @property
    def stderr(self) -> str:
        """Its standard error output so far; complete when its lines have ended."""
        return self._program.stderr

    def stop(self) -> None:
        """Ask it to end (SIGTERM); do nothing if it has ended."""
        self._program.stop()

    def kill(self) -> None:
        """End it at once; do nothing if it has ended."""
        self._program.kill()

    def wait(self) -> int:
        """Wait until it ends, and return its exit status as a shell gives it: 128 and the signal that ended it."""
        return self._program.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self.wait()


class NodeHandle(Breakable):
    """A node of a lab that is up."""

    def __init__(
        self,
        lab: str,
        node: Node,
        runtime: Runtime,
        bring_about: BringAbout,
    ) -> None:
        super().__init__(node.name, bring_about)
        self._lab = lab
        self._node = node
        self._runtime = runtime

    def __repr__(self) -> str:
        addresses = ", ".join(f"{address} on {network}" for network, address in self.addresses.items())
        return f"<node {self.name} of lab {self._lab}: {addresses or 'on no network'}>"

    @property
    def addresses(self) -> Mapping[str, str]:
        """Its address on each of its networks: that of IPv4, or of IPv6 where the network has only that."""
        return {interface.network: interface.addresses[0] for interface in self._node.interfaces}

    @property
    def addresses6(self) -> Mapping[str, str]:
        """Its IPv6 address on each of its networks that have IPv6."""
        return {interface.network: interface.address6 for interface in self._node.interfaces if interface.address6}

    def run(self, argv: Sequence[str] | str, *, stdin: bytes | str = b"", timeout: float | None = None) -> Completed:
        """Run a command in the node and wait for it.

        Args:
            argv: the command: its words, or text that is split into words as a shell would, without running a shell.
            stdin: its standard input.
            timeout: seconds after which the command is killed.

        Raises:
            UsageError: `bad-command`, `bad-argument`: an argument is of a wrong type.
            LabError: `command-timeout`.
        """
        return self._runtime.run(
            self._lab,
            self.name,
            argv_of(argv),
            stdin=arguments.octets(stdin, "stdin"),
            timeout=arguments.seconds(timeout, "timeout"),
        )

    def popen(self, argv: Sequence[str] | str) -> Running:
        """Start a command in the node, without input, and return at once.

        Args:
            argv: the command, as for `run`.

        Raises:
            UsageError: `bad-command`; `command-not-found`, perhaps only when the program's lines are read.
        """
        words = argv_of(argv)
        return Running(self._runtime.start(self._lab, self.name, words), f"{' '.join(words)} in node {self.name}")

    def put(self, source: Path | str, destination: str) -> None:
        """Copy a file or a directory of this machine into the node; it belongs to root there.

        Args:
            source: the file or directory.
            destination: its absolute path in the node; with a slash at the end, the directory to put it into.

        Raises:
            UsageError: `no-such-file`; `bad-argument`: the destination is not an absolute path, or one where the
                runtime can't put files.
            LabError: `copy-failed`.
        """
        from testbed.lab import files  # noqa: PLC0415  # seldom needed

        source = arguments.path(source, "source")
        path = self._copyable(destination, "destination")
        name = f"{path}/{source.name}" if destination.endswith("/") else path
        with files.packed(source, name.lstrip("/")) as archive:
            self._runtime.put(self._lab, self.name, archive)

    def get(self, source: str, destination: Path | str) -> Path:
        """Copy a file or a directory of the node to this machine, and return where it is.

        Args:
            source: its absolute path in the node.
            destination: the path to write, or a directory that exists, to write it into.

        Raises:
            UsageError: `file-refused`; `bad-argument`: the source is not an absolute path, or one from which the
                runtime can't copy.
            LabError: `copy-failed`; `unsafe-archive`: it contains something else than files and directories.
        """
        from testbed.lab import files  # noqa: PLC0415  # as above

        path = self._copyable(source, "source")
        written = arguments.path(destination, "destination")
        if written.is_dir():
            written /= path.rpartition("/")[2]
        with self._runtime.get(self._lab, self.name, path) as archive:
            files.unpack(archive, written)
        return written

    def _copyable(self, path: str, name: str) -> str:
        """Return a path in the node without a slash at its end."""
        if not isinstance(path, str) or not path.startswith("/") or "\0" in path or not path.strip("/"):
            raise UsageError(
                "bad-argument", f"{name} is {path!r}, not an absolute path", 'write it like "/etc/app.conf"'
            )
        if path.rstrip("/").rpartition("/")[2] in (".", ".."):
            raise UsageError("bad-argument", f"{name} {path} does not say the name of what to copy", "name it")
        for mount in self._node.service.tmpfs if self._runtime.name == "docker" else ():
            if f"{path}/".startswith(f"{mount.target.rstrip('/')}/"):
                message = f"{name} {path} is in the tmpfs {mount.target}, where the Docker Engine copies no files"
                raise UsageError(
                    "bad-argument", message, "use another directory, or `run` a command that reads its input"
                )
        return path.rstrip("/")

    def logs(self) -> str:
        """Return what the node's own command (or image) has written so far.

        Raises:
            LabError: `no-such-lab`.
        """
        return b"".join(self._runtime.logs(self._lab, self.name)).decode(errors="replace")


class LinkHandle:
    """One direction between two nodes of a lab that is up."""

    def __init__(self, plan: Plan, agent: Agent, link: Link) -> None:
        self._plan = plan
        self._agent = agent
        self._link = link

    def __repr__(self) -> str:
        return f"<link {self.name}: {self.impairments.describe()}>"

    def _repr_html_(self) -> str:
        """The impairments, for a notebook."""
        from testbed.html_tables import html_table  # noqa: PLC0415  # only notebooks need it

        rows = [text.split(" ", 1) for text in self.impairments.descriptions()]
        return html_table(f"link {self.name}", ("impairment", "value"), rows)

    @property
    def name(self) -> str:
        """The link's name: `client -> server (udp port 53)`."""
        return self._link.name

    @property
    def impairments(self) -> Impairments:
        """The impairments that the link has now."""
        return self._present().get(self._link.key, self._link.impairments)

    def _present(self) -> dict[LinkKey, Impairments]:
        """Return the impairments of all links that have some, in the order in which they select packets."""
        return {link.key: link.impairments for link in self._agent.call(messages.Statistics())}

    def update(self, **to: object) -> Impairments:
        """Change impairments of the link: `update(loss="10%", blackhole=False, drop=[3, 17])`. Other keys stay.

        The impairments are replaced as a whole; packets already on the link are not affected.

        Args:
            to: keys of a link in a topology file (delay, jitter, loss, rate, queue) with their values, see
                `testbed.plan.changes.changed`.

        Returns:
            The new impairments.

        Raises:
            UsageError: a key or a value is wrong; `unreachable-match`: other links take all of its packets.
            LabError: the impairments could not be applied.
        """
        _, link = self._changed(to)
        self._apply(link)
        return link.impairments

    def _changed(self, to: Mapping[str, object]) -> tuple[Link, Link]:
        """Return the link as it is now, and with changed keys."""
        from testbed.plan import changes  # noqa: PLC0415  # as above

        present = self._present()
        changes.require_packets(self._link.key, present)
        now = replace(self._link, impairments=present.get(self._link.key, self._link.impairments))
        return now, changes.changed(self._plan, now, to)

    def _apply(self, link: Link) -> None:
        self._agent.call(messages.Impair(links=bringup.as_requests(self._plan, [link])))

    @contextmanager
    def impaired(self, **to: object) -> Iterator[Impairments]:
        """Change impairments of the link for the time of a context, which gives the new ones.

        with lab.link("client", "server").impaired(loss="10%"):
            ...

        Args:
            to: as for `update`.

        Raises:
            UsageError, LabError: as `update`.
        """
        before, after = self._changed(to)
        try:
            self._apply(after)  # a signal may interrupt it when the link has changed
            yield after.impairments
        finally:
            with interruption.deferred():
                self._apply(before)
