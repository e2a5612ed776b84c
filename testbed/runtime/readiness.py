"""Readiness of nodes: their `setup` commands have run, and their `ready` condition is met."""

from __future__ import annotations

import re
import shlex
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from testbed.agent import messages
from testbed.errors import LabError, TestbedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from testbed.agent.client import Agent
    from testbed.plan.model import Plan
    from testbed.plan.nodes import Node
    from testbed.runtime import Runtime
    from testbed.services import Ready

_SETUP_SECONDS = 300
"""For each command of a `setup`, which may have to wait for other nodes."""

_ATTEMPT_SECONDS = 5
"""For a command that tells whether a node is ready, at least: what it says then counts, not that time was short."""

_LAST_LINES = 10
_LOOPBACK = "127.0.0.1"
_ALL_ADDRESSES = ("0.0.0.0", "::")  # noqa: S104  # they are compared, not listened on
_SUCCESSES = range(200, 400)


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """Tells when nodes of a lab that is coming up are ready.

    Attributes:
        lab: its name.
        agent: of the lab.
        address: returns the address of a node where its ports are tried.
        health: returns the state of a node's HEALTHCHECK, and what it last said; None where nodes have none.
        stopping: ends all waiting.
    """

    runtime: Runtime
    lab: str
    agent: Agent
    address: Callable[[str], str]
    health: Callable[[str], tuple[str, str]] | None = None
    stopping: threading.Event = field(default_factory=threading.Event)

    def settle(self, node: Node) -> None:
        """Run a node's `setup`, then wait until its condition is met.

        Raises:
            LabError: `setup-failed`; `not-ready`, with what was last found and the last lines of the node's log;
                `node-exited`.
        """
        for argv in node.service.setup:
            self._set_up(node, argv)
        if node.ready:
            self._wait(node, node.ready)

    def _set_up(self, node: Node, argv: tuple[str, ...]) -> None:
        done = self.runtime.run(self.lab, node.name, argv, timeout=_SETUP_SECONDS)
        if done.status:
            wrote = _indented((done.stdout + done.stderr).splitlines(), "; it wrote:")
            raise LabError(
                "setup-failed",
                f"node {node.name}: {shlex.join(argv)} of its setup ended with status {done.status}{wrote}",
                f"setup commands run in the node as {node.service.user or 'its own user'}, and must succeed",
            )

    def _wait(self, node: Node, ready: Ready) -> None:
        deadline = time.monotonic() + ready.timeout_ns / 1e9
        while missing := self._lacks(node, ready, max(deadline - time.monotonic(), _ATTEMPT_SECONDS)):
            self.runtime.require_running(self.lab)
            if self.stopping.is_set():
                return
            if time.monotonic() >= deadline:
                raise self._not_ready(node, ready, missing)
            self.stopping.wait(ready.interval_ns / 1e9)

    def _lacks(self, node: Node, ready: Ready, seconds: float) -> str:
        """Try a node's condition once; return what was found instead, empty if it is met.

        Args:
            node: the node.
            ready: its condition.
            seconds: time within which a command must end.
        """
        address = self.address(node.name)
        if ready.tcp:
            met = self.agent.call(messages.Accepts(node=node.name, address=address, port=ready.tcp))
            return "" if met else "no connection was accepted"
        if ready.udp:
            return _lacks_port(self.agent.call(messages.UdpBound(node=node.name, port=ready.udp)), address)
        if ready.http:
            call = messages.HttpStatus(node=node.name, address=address, port=ready.port, path=ready.http)
            status = self.agent.call(call)
            return "" if status in _SUCCESSES else f"status {status}" if status else "there was no answer"
        if ready.log:
            return "" if self._wrote(node, ready.log) else "there was no such line"
        if ready.healthcheck:
            assert self.health is not None  # noqa: S101  # runtimes without refuse such plans
            state, said = self.health(node.name)
            return "" if state == "healthy" else f"it is {state}" + f": {said}" * bool(said)
        return self._failure(node, ready.command, seconds)

    def _failure(self, node: Node, argv: tuple[str, ...], seconds: float) -> str:
        try:
            done = self.runtime.run(self.lab, node.name, argv, timeout=seconds)
        except LabError as error:
            if error.code != "command-timeout":
                self.runtime.require_running(self.lab)  # it may be restarted at the moment
            return error.message
        said = (done.stderr or done.stdout).strip().splitlines()
        return f"status {done.status}" + (f": {said[-1]}" if said else "") if done.status else ""

    def _wrote(self, node: Node, pattern: str) -> bool:
        lines = self._log(node)
        return any(re.search(pattern, line) for line in lines)

    def _log(self, node: Node) -> list[str]:
        return b"".join(self.runtime.logs(self.lab, node.name)).decode(errors="replace").splitlines()

    def _not_ready(self, node: Node, ready: Ready, missing: str) -> LabError:
        try:
            lines = self._log(node)
        except TestbedError:  # the reason counts
            lines = []
        hint = "check the condition, or raise ready.timeout"
        if ready.tcp or ready.udp or ready.http:
            hint = "check that its program listens on that port, on all addresses, or raise ready.timeout"
        return LabError(
            "not-ready",
            f"node {node.name} was not ready within {ready.timeout} ({ready}): {missing}"
            f"{_indented(lines, '; its last log lines:') or '; its log is empty'}",
            hint,
        )


def _lacks_port(bound: tuple[str, ...], address: str) -> str:
    """Return what is wrong with the addresses to which a UDP port is bound; empty if datagrams to `address` arrive."""
    if {address, *_ALL_ADDRESSES} & set(bound):
        return ""
    return f"it was bound at {', '.join(bound)} only, not at {address}" if bound else "no program had bound it"


def first_address(plan: Plan, node: str) -> str:
    """Return the address of a node on the first of its networks, otherwise the loopback's."""
    return next((interface.addresses[0] for interface in plan.node(node).interfaces), _LOOPBACK)


def _indented(lines: list[str], title: str) -> str:
    """Return the last lines below a title; nothing if there are none."""
    return "\n".join([title, *(f"    {line}" for line in lines[-_LAST_LINES:])]) if lines else ""
