"""Checks and runs: measures the links, carries out the workloads stage after stage, and writes the run to disk."""

from __future__ import annotations

import logging
import queue
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import suppress
from io import StringIO
from typing import TYPE_CHECKING

from testbed import check, faults, logs, runs
from testbed.agent import messages
from testbed.analysis import formatting
from testbed.errors import UsageError
from testbed.lab import capturing
from testbed.lab.event_commands import EventCommands
from testbed.lab.events import Announcement
from testbed.lab.link_sampling import LinkSampling
from testbed.lab.node_watch import keeping_logs
from testbed.lab.socket_sampling import SocketSampling
from testbed.lab.time_zero import TimeZero
from testbed.lab.timeline_client import Timeline
from testbed.plan import changes
from testbed.plan.forwarding import longest_ns
from testbed.runtime import state
from testbed.workloads.nodes import KillableNodes
from testbed.workloads.running import run as run_workload
from testbed.workloads.start_barrier import StartBarrier
from testbed.workloads.summarisers.base import interval_ns

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from testbed.agent.messages import LinkStatistics
    from testbed.engines.counters import Counters
    from testbed.lab.connected import ConnectedLab
    from testbed.lab.node_watch import NodeWatch
    from testbed.lab.observer import Observer
    from testbed.matching import LinkKey
    from testbed.plan.model import Plan
    from testbed.plan.workloads import Workload
    from testbed.runs import Run, RunWriter
    from testbed.workloads.summary import Summary

_log = logging.getLogger(__name__)

_SLACK_NS = 500_000_000
"""Time that a packet may take in addition to the links' own delays, in the kernel and in our programs."""


def run(
    lab: ConnectedLab,
    root: Path,
    *,
    only: Sequence[str],
    capture: Sequence[str],
    checked: bool,
    budget_s: float | None,
    observer: Observer,
) -> Run:
    """See `Lab.run`."""
    ports = capturing.ports_of(lab.plan, [*lab.plan.capture.nodes, *capture])
    chosen = _chosen(lab.plan, only)
    with (
        state.locked(lab.name, "measuring in it"),
        runs.RunWriter(root, lab.plan, runtime=lab.runtime, versions=lab.versions(), images=lab.images()) as writer,
        keeping_logs(lab.log_ends, writer),
        lab.watch_nodes() as watch,
        Announcement(lab.agent, f"run {writer.run.path.stem}") as announced,
    ):
        lab.require_nodes()
        if checked:
            writer.checked(_checked(lab, observer, budget_s=budget_s))
            writer.checked_nats(_checked_nats(lab, observer))
        watch.follow()
        lab.agent.call(messages.RestartAllLinks())  # nothing of the probes is in flight or counted any more
        before, attached = lab.statistics(), lab.attachments()
        writer.begun(before)
        clocks = lab.agent.compare_clocks()
        if chosen:
            with (
                capturing.during_run(lab.plan.capture, lab.agent, ports, writer, observer),
                SocketSampling(lab.plan.sockets, lab.agent, writer),
                LinkSampling(lab.agent, writer, links=len(before)),
            ):
                observer.begun("run")
                in_force = {link.key: link.impairments for link in before}
                with (
                    Timeline(lab.plan, lab, in_force, writer.happened, observer) as timeline,
                    EventCommands(lab, writer) as commands,
                ):
                    time_zero = TimeZero(lab.agent, timeline, commands, links=len(before))
                    for stage in lab.plan.stages:
                        together = [workload for workload in stage if workload.name in chosen]
                        _carry_out(
                            lab,
                            together,
                            writer,
                            observer,
                            announced,
                            time_zero=time_zero,
                            meanwhile=(timeline, watch),
                        )
                    timeline.require_all()
                observer.ended("run", _number(len(chosen), "workload"))
        after = lab.statistics()
        writer.compared(runs.machine_clocks(clocks, lab.agent.compare_clocks()))
        untrusted_reasons = (
            *(check.unmeasured_links(writer.run.checks if checked else None) if before else ()),
            *watch.failures(),
            *check.trust(after, before=before, switched_off=_switched_off(lab.plan)),
            *check.disturbances(attached, lab.attachments()),
            *check.late_senders(_senders(lab.plan, writer.run.summaries)),
            *runs.late_events(writer.run.timeline),
            *runs.failed_commands(writer.run.commands),
        )
        writer.finished(after, untrusted_reasons)
    return writer.run


def require(plan: Plan, *, only: Sequence[str], capture: Sequence[str]) -> None:
    """Refuse names of workloads and nodes that are not in a plan, before its lab is brought up.

    Raises:
        UsageError: `unknown-workload`, `unknown-node`.
    """
    _chosen(plan, only)
    capturing.ports_of(plan, capture)


def _chosen(plan: Plan, only: Sequence[str]) -> list[str]:
    """Return the names of the workloads to run, with those of all members in place of a group's.

    Raises:
        UsageError: `unknown-workload`; `no-workloads`, while which the timeline would happen.
    """
    if plan.timeline and not plan.workloads:
        hint = "give it workloads, or carry its timeline out on a lab that is up: testbed play LAB FILE"
        raise UsageError(
            "no-workloads", f"{plan.topology} has a timeline, and no workloads during which it happens", hint
        )
    groups = {workload.group for workload in plan.workloads}
    chosen = [name for name in only if name in groups or _named(plan, name)]
    return [each.name for each in plan.workloads if not only or {each.name, each.group} & {*chosen}]


def _switched_off(plan: Plan) -> frozenset[str]:
    """Return the nodes that the timeline switches off, for good or for a time."""
    return frozenset(
        fault.node
        for fault in plan.faults
        if isinstance(fault, faults.Restart) or faults.after(faults.State.RUNNING, fault) is faults.State.STOPPED
    )


def _senders(plan: Plan, summaries: Iterable[Summary]) -> Iterator[tuple[str, int, float]]:
    """Yield each workload that sends at set times: its name, its lateness and the interval of these times, ns.

    Those with an end in a node that the timeline disturbs are late on purpose.
    """
    disturbed = {fault.node for fault in plan.faults}
    for summary in summaries:
        if {_named(plan, summary.workload).source, _named(plan, summary.workload).destination} & disturbed:
            continue
        late_ns = summary.values.get("pacing_late_p99_ns")
        if isinstance(late_ns, int):
            yield summary.workload, late_ns, float(interval_ns(_named(plan, summary.workload)) or 0)


def check_links(
    lab: ConnectedLab, observer: Observer, *, deep: bool, budget_s: float | None
) -> tuple[check.LinkCheck, ...]:
    """See `Lab.check`."""
    with state.locked(lab.name, "measuring in it"), lab.watch_nodes():
        return _checked(lab, observer, deep=deep, budget_s=budget_s)


def _checked(
    lab: ConnectedLab, observer: Observer, *, deep: bool = False, budget_s: float | None = None
) -> tuple[check.LinkCheck, ...]:
    """Measure the links against what is set now, by the file or by changes since."""
    statistics = lab.statistics()
    in_force = {link.key: link.impairments for link in statistics}
    links = changes.with_remainders(lab.plan, changes.in_force(lab.plan, in_force))
    if not links:
        return ()
    for note in lab.require_nodes().notes:
        observer.chosen("note", note, "")
    if changed := runs.changed_links(lab.plan, in_force):
        observer.chosen("impair", "; ".join(changed), "changed since the lab came up")
    observer.begun("check", "probing the links")
    lab.agent.compare_clocks()
    with logs.timed(_log, f"check {len(links)} links"):
        link_checks = check.measure(
            lab.plan,
            lab,
            links=links,
            paths=check.paths_of(lab.plan, links, check.as_routed(lab.plan, lab.agent.call)),
            counters=_counters(statistics),
            recount=lambda: _counters(lab.statistics()),
            depth=check.DEEP if deep else check.QUICK,
            uncertain_ns=lab.agent.uncertain_ns,
            apart=lab.agent.apart,
            budget_s=budget_s,
            progress=lambda done: observer.progressed("check", "probes", done),
        )
    observer.ended("check", formatting.links_verdict(link_checks))
    return link_checks


def _counters(statistics: Sequence[LinkStatistics]) -> dict[LinkKey, Counters]:
    return {link.key: link.counts for link in statistics}


def check_nats(
    lab: ConnectedLab, observer: Observer, *, deep: bool, budget_s: float | None
) -> tuple[check.NatCheck, ...]:
    """See `Lab.check_nats`."""
    with state.locked(lab.name, "measuring in it"), lab.watch_nodes():
        longest_s = check.DEEP.budget_s if budget_s is None else budget_s
        return _checked_nats(lab, observer, longest_s=longest_s if deep else 0)


def _checked_nats(lab: ConnectedLab, observer: Observer, *, longest_s: float = 0) -> tuple[check.NatCheck, ...]:
    if not any(node.router and node.router.nat for node in lab.plan.nodes):
        return ()
    lab.require_nodes()
    observer.begun("nat", "probing")
    with logs.timed(_log, "probe NATs"):
        nats = check.check_nats(lab.plan, lab.agent.call, longest_s=longest_s)
    observer.ended("nat", formatting.nats_verdict(nats))
    return nats


def run_one(lab: ConnectedLab, name: str) -> Summary:
    """See `Lab.run_workload`."""
    workload = _named(lab.plan, name)
    with lab.watch_nodes():
        lab.require_nodes()
        return run_workload(
            workload,
            lab,
            record=StringIO(),
            in_flight_ns=_in_flight_ns(lab.plan, workload),
            round_trip_ns=_round_trip_ns(lab.plan, workload),
        )


def _carry_out(
    lab: ConnectedLab,
    together: Sequence[Workload],
    writer: RunWriter,
    observer: Observer,
    announced: Announcement,
    *,
    time_zero: TimeZero,
    meanwhile: tuple[Timeline, NodeWatch],
) -> None:
    """Run the workloads of one stage at the same time; the first failure ends all of them.

    A failure of the timeline or of a node (`meanwhile`) ends them too.
    """
    if not together:
        return
    start = StartBarrier(len(together), lab.now_ns, time_zero.set, lead_ns=time_zero.lead_ns)
    nodes = KillableNodes(lab)
    progress: queue.SimpleQueue[tuple[str, float]] = queue.SimpleQueue()

    def work(workload: Workload) -> Summary:
        with (
            announced.workload(workload),
            writer.samples(workload.name) as record,
            logs.timed(_log, f"workload {workload.name}"),
        ):
            return run_workload(
                workload,
                nodes,
                record=record,
                progress=lambda done: progress.put((_label(workload), done)),
                in_flight_ns=_in_flight_ns(lab.plan, workload),
                start=start,
                round_trip_ns=_round_trip_ns(lab.plan, workload),
            )

    with ThreadPoolExecutor(max_workers=len(together)) as pool:
        pending = {pool.submit(work, workload): workload for workload in together}
        try:
            unfinished = set(pending)
            while unfinished:
                done, unfinished = wait(unfinished, timeout=0.1, return_when=FIRST_EXCEPTION)
                with suppress(queue.Empty):
                    while True:
                        observer.progressed("run", *progress.get_nowait())
                for watched in meanwhile:
                    watched.follow()
                for future in done:
                    writer.ended(future.result())
                    observer.progressed("run", _label(pending[future]), 1.0)
        except BaseException:
            start.cancel()
            nodes.kill()
            raise
        finally:
            if start.at_ns is not None:
                writer.started(runs.StepStart(start_ns=start.at_ns, began_ns=dict(start.began_ns)))


def _label(workload: Workload) -> str:
    return f"{workload.name:<12} {workload.kind:<10} {workload.source} -> {workload.destination}"


def _in_flight_ns(plan: Plan, workload: Workload) -> int:
    """Return the longest time that a packet of a workload may take, ns."""
    return longest_ns(plan, workload.source, workload.destination, workload.packets) + _SLACK_NS


def _round_trip_ns(plan: Plan, workload: Workload) -> int:
    """Return the longest time that a packet of a workload and the answer to it may take, ns."""
    there_ns = longest_ns(plan, workload.source, workload.destination, workload.packets)
    return there_ns + longest_ns(plan, workload.destination, workload.source, workload.packets.back)


def _named(plan: Plan, name: str) -> Workload:
    for workload in plan.workloads:
        if workload.name == name:
            return workload
    names = ", ".join(dict.fromkeys(each.group or each.name for each in plan.workloads)) or "none"
    raise UsageError("unknown-workload", f"{plan.topology} has no workload {name!r}", f"its workloads are: {names}")


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
