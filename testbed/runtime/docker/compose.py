"""Docker Compose, as the program that this machine has: the plugin `docker compose`, or `docker-compose` 1.29.

It reads compose files, and makes and removes what is in them; nothing else of the testbed knows how.
"""

from __future__ import annotations

import logging
import os
import re
import signal
import subprocess
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from testbed import logs
from testbed.errors import LabError, MachineError, UsageError

if TYPE_CHECKING:
    from testbed.runtime import Progress
    from testbed.services import ComposeProject

_log = logging.getLogger(__name__)

_LAST_LINES = 10

_STOPPING_SECONDS = 10
"""How long Docker Compose may take to end after SIGTERM: it first ends its calls to the Docker Engine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ComposeProgram:
    """A Docker Compose of this machine.

    Attributes:
        argv: how it is called.
        separator: between project, service and number in the names of containers.
    """

    argv: tuple[str, ...]
    separator: str

    def config(self, project: ComposeProject) -> dict[str, Any]:
        """Return the merged content of a project's files, with variables replaced by their values.

        Raises:
            UsageError: `compose-file-refused`.
        """
        done = subprocess.run(
            [*self._command(project), "config"],
            capture_output=True,
            stdin=subprocess.DEVNULL,
            text=True,
            check=False,
            cwd=_directory(project),
        )
        if done.returncode:
            said = "\n".join(f"    {line}" for line in done.stderr.strip().splitlines()[-_LAST_LINES:])
            raise UsageError(
                "compose-file-refused",
                f"{' '.join(self.argv)} refuses {', '.join(project.files)}:\n{said}",
                f"{' '.join(self._command(project))} config says the same",
            )
        found: dict[str, Any] = yaml.safe_load(done.stdout)
        return found

    def create(self, project: ComposeProject, progress: Progress, *, holding: int) -> None:
        """Pull or build images, make networks and containers, and start none.

        Args:
            project: its files.
            progress: receives each line that it writes.
            holding: a file descriptor that it keeps open until it has ended, also if we end before.

        Raises:
            LabError: `compose-failed`, with its last lines.
        """
        self._run(project, ("up", "--no-start"), progress, holding)

    def start(self, project: ComposeProject, progress: Progress, *, holding: int) -> None:
        """Start the containers in the order of their `depends_on`, whose conditions are waited for.

        Raises:
            LabError: `compose-failed`, with its last lines.
        """
        self._run(project, ("up", "-d", "--no-recreate"), progress, holding)

    def down(self, project: ComposeProject, *, volumes: bool, holding: int) -> None:
        """Stop and remove containers and networks; with `volumes`, named volumes too.

        Raises:
            LabError: `compose-failed`, with its last lines.
        """
        self._run(project, ("down", "--remove-orphans", *["--volumes"] * volumes), lambda _: None, holding)

    def _command(self, project: ComposeProject) -> list[str]:
        argv = [*self.argv, "--project-name", project.name]
        for name in project.files:
            argv += ["--file", name]
        for name in project.profiles:
            argv += ["--profile", name]
        return argv + ["--env-file", project.env_file] * bool(project.env_file)

    def _run(self, project: ComposeProject, arguments: tuple[str, ...], progress: Progress, holding: int) -> None:
        """Run a command of it to its end, out of reach of the terminal's Ctrl-C, which is for us to pass on."""
        lines: deque[str] = deque(maxlen=_LAST_LINES)
        with (
            logs.timed(_log, f"compose {' '.join(arguments)}"),
            subprocess.Popen(
                [*self._command(project), *arguments],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                text=True,
                errors="replace",
                cwd=_directory(project),
                start_new_session=True,
                pass_fds=(holding,),
            ) as process,
        ):
            assert process.stdout  # noqa: S101  # a pipe was asked for
            try:
                for line in process.stdout:
                    if said := _plain(line):
                        _log.info("compose: %s", said)
                        lines.append(said)
                        progress(f"compose: {said}")
                status = process.wait()
            except BaseException:
                _end(process)
                raise
        if status:
            said = "".join(f"\n    {line}" for line in lines) or " nothing"
            called = f"{' '.join(self.argv)} {arguments[0]}"
            raise LabError(
                "compose-failed", f"{called} of project {project.name} ended with status {status}; it said:{said}"
            )


@cache
def program() -> ComposeProgram:
    """Return this machine's Docker Compose.

    Raises:
        MachineError: `no-compose`.
    """
    for argv, separator in ((("docker", "compose"), "-"), (("docker-compose",), "_")):
        with suppress(OSError):
            done = subprocess.run([*argv, "version"], capture_output=True, check=False, stdin=subprocess.DEVNULL)
            if done.returncode == 0:
                said = done.stdout.decode(errors="replace")
                is_second = re.search(r"v?[2-9]\d*\.\d+\.\d+", said.splitlines()[0]) is not None
                return ComposeProgram(argv=argv, separator="-" if is_second else separator)
    raise MachineError(
        "no-compose",
        "the topology names a compose file, and this machine has no Docker Compose",
        "install the plugin (package docker-compose-plugin of Docker, docker-compose-v2 of Ubuntu), or docker-compose "
        "1.29 (package docker-compose of Debian)",
    )


def enabled_profiles(project: ComposeProject) -> set[str]:
    """Return the profiles that Compose enables: those of the project, and of COMPOSE_PROFILES."""
    return {*project.profiles, *filter(None, os.environ.get("COMPOSE_PROFILES", "").split(","))}


def _directory(project: ComposeProject) -> Path:
    return Path(project.files[0]).parent


def _plain(line: str) -> str:
    """Return a line of progress without what moves a terminal's cursor (ECMA-48)."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|[\r\x08]", "", line).strip()


def _end(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(_STOPPING_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
