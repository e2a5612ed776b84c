"""Run commands in nodes, with collected output or attached to the caller's streams, and kill their process groups.

The Docker Engine has no call that ends a command started by `exec`, and an image need not have `kill`. But the Docker
Engine reports the command's pid on its machine, where the agent runs: a shell of the agent sends the signal.
"""

from __future__ import annotations

import codecs
import os
import queue
import select
import signal
import sys
import termios
import threading
import tty
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from testbed.errors import LabError, TestbedError, UsageError
from testbed.runtime import Completed
from testbed.runtime.docker.execution import STDERR, STDOUT, Execution

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from testbed.agent.client import Agent
    from testbed.runtime.docker.engine import DockerEngine

_NOT_FOUND = 127  # the status of a shell if it does not find a command
_CHUNK = 1 << 16


class Commands:
    """Runs commands in one node.

    Args:
        engine: the Docker Engine of the node.
        container: of the node.
        node: its name.
        agent: returns the lab's agent; called only when a command has to be killed.
    """

    def __init__(self, engine: DockerEngine, container: str, node: str, agent: Callable[[], Agent]) -> None:
        self._engine = engine
        self._container = container
        self._node = node
        self._agent = agent

    def run(self, argv: Sequence[str], *, stdin: bytes, timeout: float | None) -> Completed:
        """See `testbed.runtime.Runtime.run`."""
        written = {STDOUT: bytearray(), STDERR: bytearray()}
        try:
            with (
                Execution(self._engine, self._container, argv, stdin=bool(stdin)) as execution,
                self._within(timeout, execution, argv),
            ):
                if stdin:
                    _need_half_close(execution)
                    threading.Thread(target=_feed, args=(execution, stdin), daemon=True).start()
                for stream, data in execution.output():
                    written[stream] += data
                status = execution.status()
        except UsageError as error:
            return Completed(status=_NOT_FOUND, stdout="", stderr=error.message)
        stdout, stderr = (data.decode(errors="replace") for data in written.values())
        return Completed(status=status, stdout=stdout, stderr=stderr)

    @contextmanager
    def _within(self, seconds: float | None, execution: Execution, argv: Sequence[str]) -> Iterator[None]:
        """Kill the command if it takes longer than `seconds`, or if the caller is interrupted."""
        expired = threading.Event()

        def expire() -> None:
            expired.set()
            try:
                self._kill(execution, signal.SIGKILL)
            except TestbedError as error:
                problems.append(error.message)
            execution.close()  # don't wait for other processes that hold the streams

        problems: list[str] = []
        timer = threading.Timer(seconds or 0, expire)
        if seconds is not None:
            timer.start()
        try:
            yield
        except LabError:
            if not expired.is_set():
                raise
        except (KeyboardInterrupt, SystemExit):
            self._kill(execution, signal.SIGKILL)
            raise
        finally:
            timer.cancel()
        if expired.is_set():
            timer.join()
            fate = f"could not be killed: {problems[0]}" if problems else "was killed"
            raise LabError(
                "command-timeout", f"{' '.join(argv)} in {self._node} did not end within {seconds:g} s and {fate}"
            )

    def start(self, argv: Sequence[str]) -> DockerProgram:
        """See `testbed.runtime.Runtime.start`."""
        return DockerProgram(Execution(self._engine, self._container, argv), self._kill)

    def attach(self, argv: Sequence[str]) -> int:
        """Run a command on this process's streams and return its exit status. Ctrl-C interrupts, a second one kills."""
        with self._interrupting() as started, Execution(self._engine, self._container, argv, stdin=True) as execution:
            _need_half_close(execution)
            started(execution)
            try:
                with _standard_input(execution, at_end=execution.close_stdin):
                    _write_out(execution)
            except SystemExit:  # a signal ends this process: the command must not outlive it
                self._kill(execution, signal.SIGKILL)
                raise
            return execution.status()

    def attach_terminal(self, argv: Sequence[str]) -> int:
        """Run a command on its own terminal, relayed to the caller's terminal, and return its exit status."""
        environment = {"TERM": os.environ.get("TERM", "dumb")}
        with Execution(self._engine, self._container, argv, stdin=True, tty=True, environment=environment) as execution:
            with _raw(execution), _standard_input(execution, at_end=lambda: None):
                _write_out(execution)
            return execution.status()

    @contextmanager
    def _interrupting(self) -> Iterator[Callable[[Execution], None]]:
        """Forward Ctrl-C to the command instead of ending this process and leaving the command behind."""
        wanted: queue.SimpleQueue[signal.Signals | None] = queue.SimpleQueue()
        remaining = iter([signal.SIGINT])
        before = signal.signal(signal.SIGINT, lambda *_: wanted.put(next(remaining, signal.SIGKILL)))

        def deliver(execution: Execution) -> None:
            for number in iter(wanted.get, None):
                try:
                    self._kill(execution, number)
                except TestbedError as error:
                    sys.stderr.write(f"{error}\n")

        try:
            yield lambda execution: threading.Thread(target=deliver, args=(execution,), daemon=True).start()
        finally:
            wanted.put(None)
            signal.signal(signal.SIGINT, before)

    def _kill(self, execution: Execution, number: signal.Signals) -> None:
        """Send a signal to the command and its process group; do nothing if the command has ended.

        Raises:
            TestbedError: the agent does not answer.
        """
        if pid := execution.pid:
            with self._agent().spawn(self._node, ["sh", "-c", f"kill -{number.value} -{pid}"]) as killer:
                killer.wait()


class DockerProgram:
    """See `testbed.runtime.DockerProgram`."""

    def __init__(self, execution: Execution, kill: Callable[[Execution, signal.Signals], None]) -> None:
        self.stderr = ""
        self._execution = execution
        self._kill = kill

    def __iter__(self) -> Iterator[str]:
        text = {stream: codecs.getincrementaldecoder("utf-8")("replace") for stream in (STDOUT, STDERR)}
        partial = ""
        for stream, data in self._execution.output():
            if stream == STDERR:
                self.stderr += text[stream].decode(data)
                continue
            *lines, partial = (partial + text[stream].decode(data)).split("\n")
            yield from lines
        if partial:
            yield partial

    def stop(self) -> None:
        """Ask the program to end (SIGTERM)."""
        self._kill(self._execution, signal.SIGTERM)

    def kill(self) -> None:
        """Kill the program if it still runs, and close its streams, which other processes may hold open."""
        self._kill(self._execution, signal.SIGKILL)
        self._execution.close()

    def wait(self) -> int:
        """Wait until the program has ended, and return its exit status as a shell reports it."""
        status = self._execution.status()
        self._execution.close()
        return status


def _need_half_close(execution: Execution) -> None:
    if not execution.half_closes:
        raise LabError(
            "no-half-close",
            "the Docker Engine is reached through TLS, which can't signal the end of a command's input",
            "use a Unix socket instead: ssh -N -L /tmp/docker.sock:/var/run/docker.sock HOST",
        )


def _feed(execution: Execution, data: bytes) -> None:
    with suppress(OSError):
        execution.sendall(data)
    execution.close_stdin()


def _write_out(execution: Execution) -> None:
    for stream, data in execution.output():
        target = sys.stdout.buffer if stream == STDOUT else sys.stderr.buffer
        target.write(data)
        target.flush()


@contextmanager
def _standard_input(execution: Execution, *, at_end: Callable[[], None]) -> Iterator[None]:
    """Copy our standard input to the command's; input after the end of the command is left unread for the next one."""
    stopped, stop = os.pipe()

    def copy() -> None:
        with suppress(OSError):
            while stopped not in select.select([0, stopped], [], [])[0]:
                data = os.read(0, _CHUNK)
                if not data:
                    break
                execution.sendall(data)
            else:
                return
        at_end()

    copier = threading.Thread(target=copy, daemon=True)
    copier.start()
    try:
        yield
    finally:
        os.close(stop)
        copier.join()
        os.close(stopped)


@contextmanager
def _raw(execution: Execution) -> Iterator[None]:
    """Pass every key to the command's terminal, and keep its size equal to that of ours."""

    def resize(*_: object) -> None:
        columns, lines = os.get_terminal_size(0)
        execution.resize(lines, columns)

    saved = termios.tcgetattr(0)
    before = signal.signal(signal.SIGWINCH, lambda *_: threading.Thread(target=resize, daemon=True).start())
    try:
        resize()
        tty.setraw(0)
        yield
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, saved)
        signal.signal(signal.SIGWINCH, before)
