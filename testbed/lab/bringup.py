"""From a plan to a lab that is up, and away again: which runtime, in what order, and what if a step fails."""

from __future__ import annotations

import logging
import signal
import threading
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from testbed import logs
from testbed import runtime as runtimes
from testbed.agent import messages
from testbed.errors import LabError, MachineError, TestbedError
from testbed.plan import Plan, relocate
from testbed.plan.differences import plan_differences
from testbed.runtime import local_agent, state

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from types import FrameType

    from testbed.agent.client import Agent
    from testbed.lab.observer import Observer
    from testbed.plan.model import Link
    from testbed.runtime import LabStatus, Runtime

_log = logging.getLogger(__name__)

_SUBNET_TRIES = 5

_LINKS_PER_CALL = 200
"""Links that the agent is given at once, so that it can be seen that more and more are done."""


def choose_runtime(plan: Plan, observer: Observer) -> Runtime:
    """The runtime that a plan asks for; of `auto`, the first that can be had here and can do all of it.

    The last one to be had is not tried beforehand: bringing the lab up tells soon enough.

    Raises:
        MachineError: none can; the message says of each why not.
    """
    if plan.runtime != "auto":
        runtime = runtimes.load(plan.runtime)
        runtime.require(plan)
        observer.chosen("runtime", f"{plan.runtime} ({runtime.description})", "asked for")
        return runtime
    *others, last = runtimes.BACKENDS
    refusals: dict[str, MachineError] = {}
    for name in others:
        runtime = runtimes.load(name)
        found = runtime.probe()
        try:
            if not found.usable:
                raise MachineError("no-runtime", found.reason, found.hint)  # noqa: TRY301
            runtime.require(plan)
        except MachineError as error:
            refusals[name] = error
        else:
            observer.chosen("runtime", f"{name} ({found.description})", "it answers")
            return runtime
    runtime = runtimes.load(last)
    try:
        runtime.require(plan)
    except MachineError as error:
        refusals[last] = error
        hints = [refusal.hint for refusal in refusals.values() if refusal.hint]
        raise MachineError("no-runtime", _listed(refusals), next(iter(hints), "testbed doctor says more")) from None
    observer.chosen("runtime", f"{last} ({runtime.description})", _listed(refusals))
    return runtime


def _listed(refusals: Mapping[str, MachineError]) -> str:
    """Why each runtime can't be used."""
    return "; ".join(f"{name}: {error.message}" for name, error in refusals.items())


def agent_ahead(runtime: str | None) -> AbstractContextManager[None]:
    """Have an agent start while it is still found out what is to be brought up, which is done within this context.

    Args:
        runtime: that will be needed, if it is known; with `docker` the agent may well be a container.
    """
    return nullcontext() if runtime == "docker" else local_agent.ahead()


def bring_up(
    wanted: Plan,
    observer: Observer,
    engines: Mapping[tuple[str, str, str], str] = MappingProxyType({}),
) -> tuple[Plan, Runtime, bool]:
    """Bring a plan up, or find that it is up already.

    Args:
        wanted: what is to be up; its allocated subnets move where they are in use.
        observer: hears of it.
        engines: by ends, of links that are to have another engine than the plan says.

    Returns:
        The plan as it is up (an allocated subnet may have moved), its runtime, and whether it was up before.

    Raises:
        MachineError, LabError: after undoing what was done.
    """
    with state.locked(wanted.lab, state="coming up"):
        present = next(iter(_with_a_directory(wanted.lab)), None)
        runtime = present or choose_runtime(wanted, observer)
        if present or _holds(runtime, wanted.lab):
            return _same(wanted, runtime), runtime, True
        for attempt in range(_SUBNET_TRIES):
            plan = relocate(wanted, runtime.taken())
            try:
                with _undone_on_failure(runtime, plan.lab, observer):
                    _make(plan, runtime, observer, engines)
            except LabError as error:
                if error.code != "subnet-taken" or attempt == _SUBNET_TRIES - 1:
                    raise
            else:
                break
        return plan, runtime, False


def _make(plan: Plan, runtime: Runtime, observer: Observer, engines: Mapping[tuple[str, str, str], str]) -> None:
    observer.begun("up", "starting")
    with logs.timed(_log, f"make nodes of lab {plan.lab} by {runtime.name}"):
        runtime.up(plan, lambda step: observer.begun("up", step))
    agent = runtime.connect(plan.lab)
    links = [replace(link, engine=engines.get(link.ends, link.engine)) for link in plan.links]
    with logs.timed(_log, f"impair {len(links)} links"):
        chosen = _impairments(plan, links, agent, observer)
    for engine, why in sorted(chosen):
        observer.chosen("engine", engine, why)
    agent.call(messages.Remember(plan=plan.to_json()))
    counts = (len(plan.nodes), "node"), (len(plan.networks), "network"), (len(plan.links), "link")
    observer.ended("up", ", ".join(f"{count} {noun}{'s' * (count != 1)}" for count, noun in counts))


def _impairments(plan: Plan, links: Sequence[Link], agent: Agent, observer: Observer) -> set[tuple[str, str]]:
    """Have the agent give links their impairments; the engines that it chose, each with the reason."""
    chosen = set()
    requests = as_requests(plan, links)
    for done in range(0, len(requests), _LINKS_PER_CALL):
        observer.progressed("up", "links", done / len(requests), f"{done} of {len(requests)}")
        impaired = agent.call(messages.Impair(links=requests[done : done + _LINKS_PER_CALL]))
        chosen |= {(made.engine, made.why) for made in impaired}
    return chosen


def as_requests(plan: Plan, links: Sequence[Link]) -> tuple[messages.LinkRequest, ...]:
    """Links of a plan as the agent's call `Impair` takes them."""
    nodes, all_impairments = {node.name: node for node in plan.nodes}, plan.all_impairments()
    return tuple(
        messages.LinkRequest(
            source=link.source,
            destination=link.destination,
            network=link.network,
            addresses={name: nodes[name].on(link.network).address for name in (link.source, link.destination)},
            impairments=link.impairments,
            later=tuple(all_impairments.get(link.ends, ())) if plan.timeline else (),
            seed=link.seed,
            engine=link.engine,
            repeatable=plan.seed_given,
        )
        for link in links
    )


def _same(plan: Plan, runtime: Runtime) -> Plan:
    """The plan of the lab that is up under the same name.

    Raises:
        LabError: it is another one, or broken.
    """
    hint = f"testbed down {plan.lab} takes it down; --name brings this one up beside it"
    if plan.runtime not in ("auto", runtime.name):
        raise LabError(
            "lab-differs", f"a lab {plan.lab} is up, but on runtime {runtime.name}, not {plan.runtime} as asked", hint
        )
    held = runtime.connect(plan.lab).hello().plan
    if held is None:
        raise LabError("lab-incomplete", f"a lab {plan.lab} was left half-way", hint)
    found = Plan.from_json(held)
    if found.digest != plan.digest:
        raise LabError("lab-differs", f"a lab {plan.lab} is up, but another one: {_difference(found, plan)}", hint)
    return found


def _difference(found: Plan, wanted: Plan) -> str:
    """In what the lab that is up is another than the one that is wanted."""
    if found.topology != wanted.topology:
        return f"of the topology {found.topology}, not {wanted.topology}"
    first, *others = plan_differences(found, wanted)
    path, has, should = first
    return f"{path} is {has}, not {should}" + (f", and {len(others)} more" if others else "")


def find(lab: str) -> Runtime | None:
    """The runtime of a lab that is there, in whatever state; None where there is none of that name."""
    if ours := _with_a_directory(lab):
        return ours[0]
    return next((each for each in map(runtimes.load, runtimes.BACKENDS) if _holds(each, lab)), None)


def _with_a_directory(lab: str) -> list[Runtime]:
    """The runtimes of labs of that name that this user has brought up on this machine: cheap to tell."""
    return [runtimes.load(name) for name in runtimes.BACKENDS if lab in state.labs(name)]


def _holds(runtime: Runtime, lab: str) -> bool:
    """Whether a runtime has a lab of that name, whoever has brought it up."""
    with suppress(MachineError):
        return any(status.lab == lab for status in runtime.labs())
    return False


def all_labs() -> list[LabStatus]:
    """Every lab that can be found, of all runtimes that can be asked, and whether one is coming up or going down."""
    found: list[LabStatus] = []
    for name in runtimes.BACKENDS:
        with suppress(MachineError):
            found += runtimes.load(name).labs()
    return [replace(status, changing=state.changing(status.lab)) for status in found]


def take_down(lab: str) -> bool:
    """Remove all of a lab, whatever state it is in, of every runtime; False where there was nothing."""
    with state.locked(lab, state="going down"), logs.timed(_log, f"take lab {lab} down"):
        if ours := _with_a_directory(lab):
            removals = [runtime.down(lab) for runtime in ours]
            return any(removals)
        removed = False
        for runtime in map(runtimes.load, runtimes.BACKENDS):
            with suppress(MachineError):  # a runtime that can't be asked here
                removed |= runtime.down(lab)
        return removed


@contextmanager
def _undone_on_failure(runtime: Runtime, lab: str, observer: Observer) -> Iterator[None]:
    try:
        yield
    except BaseException as error:
        with uninterrupted(observer):
            observer.begun("down", "undoing")
            try:
                runtime.down(lab)
            except TestbedError as second:
                error.add_note(f"and what was made could not be removed: {second}; testbed down {lab} tries again")
        raise


@contextmanager
def uninterrupted(observer: Observer) -> Iterator[None]:
    """Hold signals that end the process back until the block is done, then deliver the first that came.

    In the main thread only, for signals are that one's.

    Args:
        observer: hears of a signal when it comes.

    Raises:
        KeyboardInterrupt: Ctrl-C came; of other signals, whatever their handlers raise.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []

    def remember(number: int, _frame: FrameType | None) -> None:
        came.append(number)
        observer.begun("down", "one moment, cleaning up")

    before = {number: signal.signal(number, remember) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if came:
            signal.raise_signal(came[0])
