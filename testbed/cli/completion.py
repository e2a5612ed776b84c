"""Completion of words by a shell, by click's mechanism, and `testbed completion`, which prints a shell's script.

The module of a command takes long to import, and a shell waits at every Tab. So where no option is typed, the words are
those of a command that only knows what its arguments are: `ARGUMENTS`.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem, get_completion_class

from testbed import named_topologies

if TYPE_CHECKING:
    from collections.abc import Sequence

VARIABLE = "_TESTBED_COMPLETE"
"""The variable by which a shell's script asks for words: click's, for a program called testbed."""


if TYPE_CHECKING:
    _TextType = click.ParamType[str]
else:
    _TextType = click.ParamType  # which has no parameter before click 8.4


class Word(_TextType, ABC):
    """A word of a command line."""

    name = "text"

    files = False
    """Whether it may be a file, too."""

    @abstractmethod
    def words(self, context: click.Context) -> Sequence[str]:
        """Return all words that fit here, given those before on the command line."""

    def shell_complete(self, context: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Return the words that begin with what is typed."""
        found = [CompletionItem(word) for word in self.words(context) if word.startswith(incomplete)]
        return [*found, CompletionItem(incomplete, type="file")] if self.files else found


class LabName(Word):
    """A lab that is up."""

    def words(self, context: click.Context) -> Sequence[str]:  # noqa: ARG002  # see Word
        """Return the names of this user's labs."""
        from testbed.lab import completing  # noqa: PLC0415  # topologies need none of it

        return completing.labs()


class NodeName(Word):
    """A node of the lab that is named before."""

    def words(self, context: click.Context) -> Sequence[str]:
        """Return the names of the lab's nodes, apart from one that is named already."""
        from testbed.lab import completing  # noqa: PLC0415  # as above

        arguments = [param.name for param in context.command.params if isinstance(param, click.Argument)]
        before = [value for name in arguments if isinstance(value := context.params.get(name or ""), str)]
        return [name for name in completing.nodes(before[0]) if name not in before[1:]] if before else ()


class LinkEndName(NodeName):
    """An end of a link: a node, or * for the others."""

    def words(self, context: click.Context) -> Sequence[str]:
        """Return the names of the lab's nodes, and *."""
        return [*super().words(context), "*"]


class TopologyName(Word):
    """A topology, by name or file."""

    files = True

    def words(self, context: click.Context) -> Sequence[str]:  # noqa: ARG002  # see Word
        """Return the names of topologies."""
        return list(named_topologies.named())


class TopologyOrLabName(TopologyName):
    """A topology, or a lab that is up."""

    def words(self, context: click.Context) -> Sequence[str]:
        """Return the names of topologies and of labs."""
        return [*super().words(context), *LabName().words(context)]


ARGUMENTS: dict[str, tuple[Word, ...]] = {
    "capture": (LabName(), NodeName()),
    "check": (TopologyOrLabName(),),
    "detach": (LabName(),),
    "down": (LabName(),),
    "events": (LabName(),),
    "exec": (LabName(), NodeName()),
    "fault": (LabName(), NodeName()),
    "graph": (TopologyName(),),
    "hunt": (TopologyName(),),
    "impair": (LabName(), LinkEndName(), LinkEndName()),
    "logs": (LabName(), NodeName()),
    "play": (LabName(), TopologyName()),
    "run": (TopologyOrLabName(),),
    "shell": (LabName(), NodeName()),
    "show": (TopologyName(),),
    "sockets": (LabName(), NodeName()),
    "sweep": (TopologyName(),),
    "up": (TopologyName(),),
    "validate": (TopologyName(),),
    "watch": (LabName(),),
}
"""What the arguments of commands are, in their order."""


def stands_in(command: str) -> click.Command | None:
    """Return a command with only the arguments of `ARGUMENTS`, for their completion; None where options are typed."""
    if command not in ARGUMENTS or any(word.startswith("-") for word in os.environ.get("COMP_WORDS", "").split()):
        return None
    words = enumerate(ARGUMENTS[command])
    params = [click.Argument([f"argument{number}"], type=word, required=False) for number, word in words]
    return click.Command(command, params=[*params])


def complete_arguments(command: click.Command) -> None:
    """Also complete the arguments of a command that has options."""
    arguments = (param for param in command.params if isinstance(param, click.Argument))
    for argument, word in zip(arguments, ARGUMENTS.get(command.name or "", ()), strict=False):
        argument.type = word


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion_command(shell: str) -> None:
    """Print the script that makes SHELL complete the words of testbed: commands, labs, nodes, topologies.

    \b
    bash    testbed completion bash > ~/.local/share/bash-completion/completions/testbed
    zsh     testbed completion zsh > ~/.zfunc/_testbed, with fpath+=~/.zfunc before compinit in ~/.zshrc
    fish    testbed completion fish > ~/.config/fish/completions/testbed.fish
    """  # noqa: D301  # \b is click's
    made = get_completion_class(shell)
    assert made is not None  # noqa: S101  # click has these
    no_values: dict[str, Any] = {}
    click.echo(made(click.Command("testbed"), no_values, "testbed", VARIABLE).source())
