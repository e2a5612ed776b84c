"""The command line. A command's module is imported when the command is called, so that `testbed --help` is fast."""

from __future__ import annotations

import difflib
import errno
import io
import os
import signal
import sys
import traceback
from importlib import import_module
from typing import TYPE_CHECKING, Any, NoReturn

import click

from testbed import __version__
from testbed.cli import failures
from testbed.errors import MachineError, TestbedError, UsageError

if TYPE_CHECKING:
    from types import FrameType

INTERRUPTED = 130

COMMANDS = {
    "up": ("testbed.cli.up", "Bring a topology up and leave it up."),
    "run": ("testbed.cli.runs", "Check a lab's links, run its workloads and keep the result."),
    "down": ("testbed.cli.labs", "Take a lab down, or all of them."),
    "ps": ("testbed.cli.labs", "List the labs that are up."),
    "attach": ("testbed.cli.attaching", "Impair links between containers that run already, of compose projects too."),
    "detach": ("testbed.cli.attaching", "Restore the links that testbed attach impairs."),
    "check": ("testbed.cli.runs", "Measure the links and compare them with what was requested."),
    "report": ("testbed.cli.reports", "Rewrite a run's report.html and print its path."),
    "compare": (
        "testbed.cli.reports",
        "Compare runs: every metric, its change, and whether the change is significant.",
    ),
    "replay": ("testbed.cli.replays", "Repeat a run from its directory or its export, and compare the two."),
    "export": ("testbed.cli.replays", "Pack a run into one file, for example to attach to a ticket."),
    "samples": ("testbed.cli.samples", "Show what a run recorded of a workload, or print it as CSV."),
    "sweep": ("testbed.cli.sweeps", "Run a topology with every combination of some values, several times each."),
    "hunt": ("testbed.cli.hunting", "Draw faults until a run fails, and find the fewest that make it fail."),
    "impair": ("testbed.cli.labs", "Change the impairments of a link while its lab is up."),
    "fault": ("testbed.cli.faults", "Pause, stop, kill or restart a node while its lab is up."),
    "play": ("testbed.cli.faults", "Carry out the timeline of a file on a lab that is up."),
    "watch": ("testbed.cli.watch", "Watch a lab live, and impair, partition or pause by a key."),
    "events": ("testbed.cli.watch", "Show what happens to a lab: impairments changed, faults, incidents, runs."),
    "exec": ("testbed.cli.labs", "Run a command in a node."),
    "shell": ("testbed.cli.labs", "Open a shell in a node."),
    "logs": ("testbed.cli.logs", "Show the output of the programs of a lab's nodes."),
    "sockets": ("testbed.cli.sockets", "Show the TCP connections of a lab's nodes, of any program."),
    "capture": ("testbed.cli.captures", "Capture packets at a node of a lab, for tcpdump and Wireshark."),
    "list": ("testbed.cli.topology_files", "List the topologies that ship, and those in topologies/."),
    "init": ("testbed.cli.beginning", "Write a first topology."),
    "validate": ("testbed.cli.topology_files", "Check topology files."),
    "show": ("testbed.cli.topology_files", "Show what a topology resolves to."),
    "graph": ("testbed.cli.graphs", "Draw a topology, as text, SVG, Mermaid or DOT."),
    "import": ("testbed.cli.importing", "Make a topology of a compose file or a containerlab file."),
    "metrics": ("testbed.cli.metrics", "List the metrics of each kind of workload."),
    "schema": ("testbed.cli.topology_files", "Print the JSON Schema of topology files, for editors."),
    "completion": ("testbed.cli.completion", "Print the script by which bash, zsh or fish completes words."),
    "images": ("testbed.cli.images", "Build the images of nodes, agents and servers."),
    "doctor": ("testbed.cli.machine", "Report what this machine can do, and what to install for the rest."),
}
"""The module and the one-line help of each command."""


def _log(_context: click.Context, option: click.Parameter, asked: bool) -> None:  # noqa: FBT001  # click's signature
    """Write log records to standard error."""
    if asked:
        import logging  # noqa: PLC0415  # only with the option

        from testbed import logs  # noqa: PLC0415

        logs.configure(logging.DEBUG if option.name == "debug" else logging.INFO)


_LOGGING: list[click.Parameter] = [
    click.Option(["-v", "--verbose"], is_flag=True, expose_value=False, callback=_log, help="Log what testbed does."),
    click.Option(
        ["--debug"],
        is_flag=True,
        expose_value=False,
        callback=_log,
        help="Log everything, also in the agent; show the traceback of an error.",
    ),
]
"""Options of every command."""


def _imported(name: str) -> click.Command:
    """Return a command, from its module."""
    command: click.Command = getattr(import_module(COMMANDS[name][0]), f"{name}_command")
    if not any(option in command.params for option in _LOGGING):
        command.params += _LOGGING
    return command


def _completed(name: str) -> click.Command:
    """Return a command whose words a shell completes."""
    from testbed.cli import completion  # noqa: PLC0415  # only for a shell

    command = completion.stands_in(name)
    if command is None:
        command = _imported(name)
        completion.complete_arguments(command)
    return command


class _ReaderGoneError(Exception):
    """What reads our output has ended, as with `| head`."""


class _Commands(click.Group):
    def invoke(self, context: click.Context) -> Any:  # noqa: ANN401  # as in click
        try:
            result = super().invoke(context)
            if sys.stdout:
                sys.stdout.flush()
        except BrokenPipeError as error:  # which click would make exit status 1: an expectation that is not met
            raise _ReaderGoneError from error
        return result

    def list_commands(self, _context: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, _context: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        if "_TESTBED_COMPLETE" in os.environ:
            return _completed(name)
        return _imported(name)

    def resolve_command(
        self, context: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in COMMANDS and (close := difflib.get_close_matches(args[0], COMMANDS, n=1)):
            context.fail(f"No such command {args[0]!r}. Did you mean {close[0]!r}?")
        return super().resolve_command(context, args)

    def format_commands(self, _context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__)
@click.pass_context
def cli(context: click.Context) -> None:
    """Bring up small, impaired networks from one YAML file, run TCP and UDP across them, and measure.

    \b
    testbed run lossy                    bring it up, check its links, run its workloads, take it down
    testbed up lossy                     bring it up and leave it up
    testbed shell lossy client           open a shell in its node client

    Exit status: 0 fine, 1 an expectation or a check failed, 2 the file or the command line is wrong,
    3 this machine lacks something, 4 the lab failed, 130 interrupted.
    """  # noqa: D301  # \b is click's
    if os.environ.get("NO_COLOR"):
        context.color = False


def main() -> NoReturn:
    """Run the command line and exit with its status."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _end)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal without UTF-8 shows what it can
            stream.reconfigure(errors="replace")
    try:
        status = cli.main(standalone_mode=False)
    except click.ClickException as error:
        failures.show_usage(error)
        sys.exit(error.exit_code)
    except TestbedError as error:
        from testbed import logs  # noqa: PLC0415  # only now

        if logs.debugging():
            traceback.print_exc()
        failures.show(error)
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt) as error:
        failures.show_interruption(error, INTERRUPTED)
        sys.exit(INTERRUPTED)
    except _ReaderGoneError:
        _drop_output()
        sys.exit(INTERRUPTED)
    except OSError as error:
        sys.exit(_show_refusal(error))
    sys.exit(status if isinstance(status, int) else 0)


def _show_refusal(error: OSError) -> int:
    """Show what the operating system refused; return the exit status."""
    from testbed import logs  # noqa: PLC0415  # only now

    if logs.debugging():
        traceback.print_exc()
    found: TestbedError
    if isinstance(error, FileNotFoundError) and not _has_directory():
        found = UsageError("directory-gone", "the working directory was deleted", "cd elsewhere")
    else:
        what = ": ".join(str(part) for part in (error.filename, error.strerror or error) if part is not None)
        hints = {errno.ENOSPC: "free some space", errno.EACCES: "let this user in, or name another file"}
        hint = hints.get(error.errno or 0, "--debug shows where in testbed")
        kind = UsageError if isinstance(error, PermissionError | FileNotFoundError) else MachineError
        found = kind("refused", what, hint)
    failures.show(found)
    _drop_output()
    return found.exit_code


def _drop_output() -> None:
    """Drop what is not written yet, and can't be: Python tries it again when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _end(number: int, _frame: FrameType | None) -> NoReturn:
    """Exit by an exception, as on Ctrl-C, so that contexts clean up."""
    sys.exit(128 + number)


def _has_directory() -> bool:
    """Whether the working directory still exists."""
    try:
        os.getcwd()  # noqa: PTH109  # pathlib is imported only where it is needed
    except FileNotFoundError:
        return False
    return True
