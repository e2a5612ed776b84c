"""Bringing a plan up: the choice of the runtime, the order of steps, and undoing on failure."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from testbed import interruption, logs
from testbed import runtime as runtimes
from testbed.agent import messages
from testbed.errors import LabError, MachineError, TestbedError
from testbed.lab import labs
from testbed.names import BUILT_IN
from testbed.plan import Plan, relocate
from testbed.plan.differences import plan_differences
from testbed.plan.members import held_plan
from testbed.runtime import state

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from testbed.agent.client import Agent
    from testbed.lab.observer import Observer
    from testbed.matching import LinkKey
    from testbed.plan.model import Link
    from testbed.plan.nodes import Node
    from testbed.runtime import Runtime

_log = logging.getLogger(__name__)

_SUBNET_TRIES = 5

_RESTARTING = ("port-gone", "node-stopped", "node-gone")
"""Errors of a node that is restarting, and of links to it."""

_LAST_LINES = 10

_LINKS_PER_CALL = 200
"""Links that one call gives the agent, few enough to show progress between calls."""


def choose_runtime(plan: Plan, observer: Observer) -> Runtime:
    """Return the runtime that a plan names; for `auto`, the first that works here and supports the whole plan.

    The last candidate is not probed: bringing the lab up fails soon enough if it does not work.

    Raises:
        MachineError: no runtime works; the message gives the reason for each.
    """
    if plan.runtime != "auto":
        runtime = runtimes.load(plan.runtime)
        runtime.require(plan)
        observer.chosen("runtime", f"{plan.runtime} ({runtime.description})", "asked for")
        return runtime
    *others, last = runtimes.OF_THIS_MACHINE
    refusals: dict[str, MachineError] = {}
    for name in others:
        runtime = runtimes.load(name)
        availability = runtime.probe()
        try:
            if not availability.usable:
                raise MachineError("no-runtime", availability.reason, availability.hint)  # noqa: TRY301
            runtime.require(plan)
        except MachineError as error:
            refusals[name] = error
        else:
            observer.chosen("runtime", f"{name} ({availability.description})", _why(plan, last))
            return runtime
    runtime = runtimes.load(last)
    try:
        runtime.require(plan)
    except MachineError as error:
        refusals[last] = error
        hints = [refusal.hint for refusal in refusals.values() if refusal.hint]
        raise MachineError(
            "no-runtime",
            _listed(refusals),
            next(iter(hints), "testbed doctor shows what is missing"),
            path=refusals[last].path,
        ) from None
    observer.chosen("runtime", f"{last} ({runtime.description})", _listed(refusals))
    return runtime


def _why(plan: Plan, instead: str) -> str:
    """Return why a runtime is taken: it answers and, if so, the other one can't do what the plan needs."""
    try:
        runtimes.load(instead).require(plan)
    except MachineError as error:
        return f"it answers; {instead}: {error.message}"
    return "it answers"


def _listed(refusals: Mapping[str, MachineError]) -> str:
    """Return the reason why each runtime can't be used."""
    return "; ".join(f"{name}: {error.message}" for name, error in refusals.items())


def bring_up(
    wanted: Plan,
    observer: Observer,
    engines: Mapping[LinkKey, str] = MappingProxyType({}),
) -> tuple[Plan, Runtime, bool]:
    """Bring a plan up, unless it is up already.

    Within `interruption.deferred()` a signal interrupts it only while what is made would be undone: then either it
    returns, or nothing is left.

    Args:
        wanted: the plan; its allocated subnets move if they are in use.
        observer: receives the progress.
        engines: engines of links that take the place of the plan's.

    Returns:
        The plan as it is up (an allocated subnet may have moved), its runtime, and whether it was up before.

    Raises:
        MachineError, LabError: a step failed, and all steps were undone.
    """
    with state.locked(wanted.lab, state="coming up"):
        with interruption.delivered():
            holder = next(iter(labs.with_a_directory(wanted.lab)), None)
            runtime = holder or choose_runtime(wanted, observer)
            if holder or labs.holds(runtime, wanted.lab):
                return _same(wanted, runtime), runtime, True
        leads_out = any(not network.internal for network in wanted.networks)
        for attempt in range(_SUBNET_TRIES):
            plan = relocate(wanted, runtime.taken(leads_out=leads_out))
            try:
                plan = _make_or_undo(plan, runtime, observer, engines)
            except LabError as error:
                if error.code != "subnet-taken" or attempt == _SUBNET_TRIES - 1:
                    raise
            else:
                break
        return plan, runtime, False


def _make(plan: Plan, runtime: Runtime, observer: Observer, engines: Mapping[LinkKey, str]) -> Plan:
    """Make nodes, networks and links; the plan as it is up."""
    observer.begun("up", "starting")
    with _noting_restarts(plan, runtime):
        with logs.timed(_log, f"make nodes of lab {plan.lab} by {runtime.name}"):
            plan = runtime.up(plan, lambda step: observer.begun("up", step))
        agent = runtime.connect(plan.lab)
        links = [replace(link, engine=engines.get(link.key, link.engine)) for link in plan.links]
        with logs.timed(_log, f"impair {len(links)} links"):
            chosen = _impairments(plan, links, agent, observer)
    for engine, why in sorted(chosen):
        observer.chosen("engine", engine, why)
    if plan.project:
        with logs.timed(_log, f"start compose project {plan.project}"):
            plan = runtime.start_project(plan, lambda step: observer.begun("up", step))
    containers = {node.name: node.container for node in plan.nodes if node.container}
    agent.call(messages.Remember(plan=plan.to_json(), containers=containers))
    counts = (len(plan.nodes), "node"), (len(plan.networks), "network"), (len(plan.links), "link")
    observer.ended("up", ", ".join(f"{count} {noun}{'s' * (count != 1)}" for count, noun in counts))
    return plan


@contextmanager
def _noting_restarts(plan: Plan, runtime: Runtime) -> Iterator[None]:
    """Add to an error what nodes wrote whose programs may have ended, and been started again, at that moment."""
    try:
        yield
    except LabError as error:
        for node in plan.nodes if error.code in _RESTARTING else ():
            if node.service.restarts:
                error.add_note(_last_words(plan.lab, node, runtime))
        raise


def _last_words(lab: str, node: Node, runtime: Runtime) -> str:
    lines = b"".join(runtime.logs(lab, node.name)).decode(errors="replace").splitlines()[-_LAST_LINES:]
    wrote = "".join(f"\n    {line}" for line in lines) or " nothing"
    said = f"the program of {node.name} may keep ending (restart: {node.service.restart}); it wrote:{wrote}"
    return f"{said}\n  with a ready: the lab waits until it works"


def _impairments(plan: Plan, links: Sequence[Link], agent: Agent, observer: Observer) -> set[tuple[str, str]]:
    """Apply links' impairments through the agent; return the engines that it chose, each with the reason."""
    chosen = set()
    # Uplinks and downlinks first: other links begin and end there. Then port by port: the agent sets the filters of all
    # ports that a call is about.
    in_order = sorted(links, key=lambda link: (not link.key.is_access, link.network, link.destination))
    requests = as_requests(plan, in_order)
    for done in range(0, len(requests), _LINKS_PER_CALL):
        observer.progressed("up", "links", done / len(requests), f"{done} of {len(requests)}")
        impaired = agent.call(messages.Impair(links=requests[done : done + _LINKS_PER_CALL]))
        chosen |= {(made.engine, made.why) for made in impaired}
    return chosen


def as_requests(plan: Plan, links: Sequence[Link]) -> tuple[messages.LinkRequest, ...]:
    """Return links of a plan as parameters of the agent's call `Impair`."""
    nodes = {node.name: node for node in plan.nodes} | {name: plan.end(name) for name in BUILT_IN}
    all_impairments = plan.all_impairments()
    return tuple(
        messages.LinkRequest(
            **link.key._asdict(),
            addresses={name: nodes[name].on(link.network).addresses for name in link.key.nodes},
            impairments=link.impairments,
            later=tuple(all_impairments.get(link.key, ())) if plan.timeline else (),
            seed=link.seed,
            engine=link.engine,
            repeatable=plan.seed_given,
        )
        for link in links
    )


def _same(plan: Plan, runtime: Runtime) -> Plan:
    """Return the plan of the lab that is up under the same name.

    Raises:
        LabError: the lab has another plan, or is broken.
    """
    hint = f"testbed down {plan.lab} takes it down; --name brings this one up beside it"
    if plan.runtime not in ("auto", runtime.name):
        raise LabError(
            "lab-differs", f"a lab {plan.lab} is up, but on runtime {runtime.name}, not on {plan.runtime}", hint
        )
    held = held_plan(runtime.connect(plan.lab))
    if held is None:
        raise LabError("lab-incomplete", f"a lab {plan.lab} was never brought up completely", hint)
    if held.digest != plan.digest:
        if any(node.is_present for node in held.nodes):
            hint = f"testbed impair {plan.lab} FROM TO KEY=VALUE changes a link; testbed detach {plan.lab} ends it"
        raise LabError("lab-differs", f"a lab {plan.lab} is up, but with another plan: {_difference(held, plan)}", hint)
    return held


def _difference(present: Plan, wanted: Plan) -> str:
    """Return how the plan that is up differs from the wanted one."""
    if present.topology != wanted.topology:
        return f"its topology is {present.topology}, not {wanted.topology}"
    first, *others = plan_differences(present, wanted)
    path, has, should = first
    return f"{path} is {has}, not {should}" + (f", and {len(others)} more" if others else "")


def _make_or_undo(plan: Plan, runtime: Runtime, observer: Observer, engines: Mapping[LinkKey, str]) -> Plan:
    """Make what a plan describes; on failure and on interruption undo it."""
    with labs.uninterrupted(observer):
        try:
            with interruption.delivered():
                return _make(plan, runtime, observer, engines)
        except BaseException as error:
            observer.begun("down", "undoing")
            try:
                runtime.down(plan.lab)
            except TestbedError as second:
                error.add_note(
                    f"the remains of the lab could not be removed: {second}; testbed down {plan.lab} tries again"
                )
            raise
