"""The first process of a node: it starts the node's commands, sends them signals and reports how they ended.

A node of the netns runtime has a pid namespace of its own, in which this is process 1: it inherits the processes whose
parents have ended, and reaps them; when it ends, the kernel kills all others of the node (pid_namespaces(7)).

It is forked from the agent. It has the node's network, host name, `/etc/hosts`, `/proc` and `/sys`, which everything
that it starts inherits. The agent talks to it over a socket that keeps messages apart (SOCK_SEQPACKET), in JSON: it
gets `StartCommand`, `Signal` and `SignalAll`, and sends `CommandStarted` or `Refused`, then `Paused` and at last
`Ended`. If it can't set up the node or go on, it sends `FirstProcessFailed` and ends.
"""

from __future__ import annotations

import fcntl
import gc
import json
import os
import select
import signal
import socket
import subprocess
import termios
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final, NoReturn

import msgspec

from testbed.agent import supplementary_groups, surroundings
from testbed.linux import capabilities, mounts, namespaces

if TYPE_CHECKING:
    from testbed.agent.messages import Surroundings
    from testbed.agent.nodes import NodeNamespaces

MESSAGE_BYTES = 4096
_REASON_CHARACTERS = 500
_FDS = 4
_STREAMS = 3

_NEEDED: Final = ("KILL", "SETGID", "SETUID")
"""Capabilities that the first process needs: to signal programs of all users, and to start them as the node's user."""


class _Message(msgspec.Struct, frozen=True, kw_only=True, tag_field="message", forbid_unknown_fields=True):
    """Base of the messages. `id` is the number of the command that they are about, or of what they answer."""

    id: int


class StartCommand(_Message, frozen=True, kw_only=True):
    """Start a command. It passes descriptors: a file with `PopenArguments` as JSON, then its three standard streams."""


class Signal(_Message, frozen=True, kw_only=True):
    """Send a signal to the process group of a command."""

    number: int


class SignalAll(_Message, frozen=True, kw_only=True):
    """Send a signal to all processes of the node but the first, in one step; `Signalled` answers it."""

    number: int


class Signalled(_Message, frozen=True, kw_only=True):
    """All processes of the node have got the signal."""


class CommandStarted(_Message, frozen=True, kw_only=True):
    """The command runs, with this pid in the node."""

    pid: int


class Refused(_Message, frozen=True, kw_only=True):
    """The command could not be started: the system's error, 0 if it has none, and the file that it is about."""

    errno: int
    file: str


class Paused(_Message, frozen=True, kw_only=True):
    """The command was stopped (SIGSTOP), or continued."""

    paused: bool


class Ended(_Message, frozen=True, kw_only=True):
    """The command has ended, with a status like `subprocess.Popen.returncode`."""

    status: int


class FirstProcessFailed(_Message, frozen=True, kw_only=True):
    """The first process ends, about no command (0), for this reason."""

    reason: str


class PopenArguments(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A command: what `subprocess.Popen` gets. With `tty`, its standard input becomes the controlling terminal."""

    argv: tuple[str, ...]
    cwd: str
    environment: dict[str, str]
    tty: bool


Report = CommandStarted | Refused | Signalled | Paused | Ended | FirstProcessFailed

_REQUESTS: Final[msgspec.json.Decoder[StartCommand | Signal | SignalAll]] = msgspec.json.Decoder(
    StartCommand | Signal | SignalAll
)
REPORTS: Final[msgspec.json.Decoder[Report]] = msgspec.json.Decoder(Report)
"""Decodes what the first process sends."""


def fork(node: NodeNamespaces) -> tuple[int, socket.socket]:
    """Start the first process of a node, and return its pid and the socket to talk to it.

    If it can't set up the node, it sends why and ends.
    """
    surroundings.prepare(node)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs, namespaces.children_in_new_pid_namespace():
        pid = os.fork()
        if not pid:
            _run(node, theirs)
    return pid, ours


def _run(node: NodeNamespaces, control: socket.socket) -> NoReturn:
    """Be the first process of a node, until the agent closes the socket."""
    status = 1
    try:
        gc.freeze()  # what is the agent's must not be collected here, for that would close what we have by its number
        _enter(node, control)
        _Init(control, node.surroundings).serve()
        status = 0
    except BaseException as error:  # noqa: BLE001  # the agent tells it
        reason = f"{type(error).__name__}: {error}"[:_REASON_CHARACTERS]
        with suppress(OSError):  # the agent has ended
            control.send(msgspec.json.encode(FirstProcessFailed(id=0, reason=reason)))
    finally:
        os._exit(status)


def _enter(node: NodeNamespaces, control: socket.socket) -> None:
    """Enter the node's namespaces, and close everything that belongs to the agent."""
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)  # of which the kernel spares the first process
    namespaces.set_process_name("init")
    namespaces.setns(node.network, namespaces.NEWNET)
    namespaces.unshare(namespaces.NEWNS | namespaces.NEWUTS | namespaces.NEWIPC)
    socket.sethostname(node.surroundings.hostname or node.name)
    mounts.mount("none", "/", flags=mounts.MS_REC | mounts.MS_PRIVATE)
    surroundings.mount_all(node)
    with suppress(OSError):  # then programs that set their groups fail, and say so
        supplementary_groups.tolerate_setgroups()
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)  # the agent's is the lifeline of the lab
    os.closerange(_STREAMS, control.fileno())
    os.closerange(control.fileno() + 1, os.sysconf("SC_OPEN_MAX"))
    os.chdir("/")
    _weaken(node.surroundings)


def _weaken(others: Surroundings) -> None:
    """Give up privileges that a program of the node could seize: with SYS_PTRACE, it can trace this process."""
    surroundings.permit_limits(others)
    capabilities.bound(others.capabilities)
    capabilities.give_up({*others.capabilities, *_NEEDED})
    namespaces.forbid_tracing()


class _Init:
    """Serves the agent; single-threaded, and blocks only in `poll`."""

    def __init__(self, control: socket.socket, others: Surroundings) -> None:
        self._control = control
        self._surroundings = others
        self._ids: dict[int, int] = {}
        """By the pid of each command that runs."""

    def serve(self) -> None:
        """Carry out the agent's messages until it closes its end."""
        woken, wake = os.pipe()
        os.set_blocking(wake, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        poll.register(woken, select.POLLIN)
        while True:
            for fd, _ in poll.poll():
                if fd == woken:
                    os.read(woken, MESSAGE_BYTES)
                elif not self._carry_out():
                    return
            self._reap()

    def _carry_out(self) -> bool:
        """Carry out one message; return False if the agent has closed its end."""
        data, fds, _, _ = socket.recv_fds(self._control, MESSAGE_BYTES, _FDS, socket.MSG_CMSG_CLOEXEC)
        if not data:
            return False
        match _REQUESTS.decode(data):
            case StartCommand(id=number):
                self._send(self._start(number, *fds))
            case Signal(id=number, number=sent):
                for pid, its_number in self._ids.items():
                    if its_number == number:
                        with suppress(ProcessLookupError):
                            os.killpg(pid, sent)
            case SignalAll(id=number, number=sent):
                with suppress(ProcessLookupError):  # there is none
                    os.kill(-1, sent)  # all in this pid namespace but its first process (kill(2))
                self._send(Signalled(id=number))
        return True

    def _start(self, number: int, file: int, *streams: int) -> CommandStarted | Refused:
        with os.fdopen(file, encoding="utf-8") as opened:
            opened.seek(0)
            command = msgspec.convert(json.load(opened), PopenArguments)
        try:
            process = subprocess.Popen(
                command.argv,
                stdin=streams[0],
                stdout=streams[1],
                stderr=streams[2],
                cwd=command.cwd,
                env=command.environment,
                start_new_session=True,
                preexec_fn=partial(self._prepare, tty=command.tty),  # noqa: PLW1509  # there is one thread
            )
        except OSError as error:
            return Refused(id=number, errno=error.errno or 0, file=str(error.filename))
        except subprocess.SubprocessError as error:
            return Refused(id=number, errno=0, file=str(error))
        finally:
            for fd in streams:
                os.close(fd)
        process.returncode = 0  # so that `subprocess` does not wait for it: `_reap` does, as for all others
        self._ids[process.pid] = number
        return CommandStarted(id=number, pid=process.pid)

    def _prepare(self, *, tty: bool) -> None:
        """Give this process, which becomes a command, the terminal, limits and user that the command is to have."""
        if tty:
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        surroundings.limit_and_become(self._surroundings)

    def _reap(self) -> None:
        """Reap all processes that have ended, and report the commands among them that ended or were paused."""
        with suppress(ChildProcessError):
            while (changed := os.waitpid(-1, os.WNOHANG | os.WUNTRACED | os.WCONTINUED))[0]:
                pid, status = changed
                if (number := self._ids.get(pid)) is None:
                    continue
                if os.WIFSTOPPED(status) or os.WIFCONTINUED(status):
                    self._send(Paused(id=number, paused=os.WIFSTOPPED(status)))
                else:
                    del self._ids[pid]
                    self._send(Ended(id=number, status=os.waitstatus_to_exitcode(status)))

    def _send(self, report: Report) -> None:
        with suppress(BrokenPipeError, ConnectionResetError):  # the agent has ended: `serve` sees it
            self._control.send(msgspec.json.encode(report))
