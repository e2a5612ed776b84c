"""The program nft(8), which sets nftables rules: pyroute2 knows too few of their expressions."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

from testbed.errors import LabError, MachineError
from testbed.linux import namespaces

if TYPE_CHECKING:
    from collections.abc import Sequence

_PLACES = ("/usr/sbin", "/sbin")
"""Where Debian has programs for root; an ordinary user's PATH may lack them."""


class Rules:
    """Collects the rules of a table, which replaces one of the same name."""

    def __init__(self, table: str, family: str = "ip") -> None:
        """`family` is nftables' name of the family of packets: `ip` or `ip6`."""
        table = f"{family} {table}"
        self._lines = [f"add table {table}", f"delete table {table}", f"table {table} {{"]

    @property
    def lines(self) -> list[str]:
        """The lines of the whole table."""
        return [*self._lines, "}"]

    def add(self, *lines: str) -> None:
        """Add lines."""
        self._lines += lines

    def chain(self, name: str, hook: str, priority: str, *rules: str, kind: str = "filter") -> None:
        """Add a chain that packets enter at a hook."""
        self.add(f"chain {name} {{", f"type {kind} hook {hook} priority {priority}; policy accept;", *rules, "}")


def program(name: str) -> str | None:
    """Return the path of a program for root; None if this machine has not got it."""
    return shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", os.defpath), *_PLACES]))


def load(network: int, lines: Sequence[str], whose: str, needs: str) -> str:
    """Change the rules of a network namespace, all of them or none; return what nft prints.

    Args:
        network: file descriptor of the namespace.
        lines: in nft's words.
        whose: what the rules are of, for the message: `node home has a NAT or a firewall`.
        needs: what of the kernel the rules need, for the hint.

    Raises:
        MachineError: `no-nft`.
        LabError: `filter-refused`, the kernel lacks something.
    """
    path = program("nft")
    if path is None:
        hint = "apt-get install nftables; where the agent is a container, testbed images builds one that has it"
        raise MachineError("no-nft", f"{whose}, and there is no nft to set it", hint)
    with namespaces.inside(network):
        done = subprocess.run([path, "-f", "-"], input="\n".join(lines), text=True, capture_output=True, check=False)
    if done.returncode:
        first = next(iter(done.stderr.splitlines()), f"exit status {done.returncode}")
        raise LabError("filter-refused", f"{whose}, and nft refuses its rules: {first}", f"{needs}; see modprobe(8)")
    return done.stdout
