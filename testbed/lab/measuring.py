"""The part of the class `Lab` that measures: checks of links and NATs, runs, captures.

What these need is imported by the methods, so that commands such as `exec` and `down` start fast.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from testbed import arguments
from testbed.agent.capture import SIZE_BYTES, SNAP_BYTES
from testbed.lab.connected import ConnectedLab
from testbed.lab.observer import SILENT

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Unpack

    from testbed.analysis.repetitions import Repetitions
    from testbed.check import LinkCheck, NatCheck
    from testbed.lab.capturing import Capturing
    from testbed.lab.observer import Observer
    from testbed.runs import Run
    from testbed.workloads.summary import Summary


class RunOptions(TypedDict, total=False):
    """Options of a run; `MeasuringLab.run` explains them."""

    only: Sequence[str]
    capture: Sequence[str]
    check: bool
    check_budget_s: float | None


class MeasuringLab(ConnectedLab):
    """A lab that is up, with the methods that measure in it."""

    def check(
        self, *, deep: bool = False, budget_s: float | None = None, observer: Observer = SILENT
    ) -> tuple[LinkCheck, ...]:
        """Measure every impaired link and compare it with its current settings, from the file or from later changes.

        Args:
            deep: measure more, such as the depth of queues; takes longer.
            budget_s: time limit in seconds; by default 20, and 300 if deep. Links for which no time is left are
                reported as not measured. One link of each kind is measured first.
            observer: receives the progress.
        """
        from testbed.lab import running  # noqa: PLC0415 (see above)

        return running.check_links(self, observer, deep=deep, budget_s=budget_s)

    def check_nats(
        self, *, deep: bool = False, budget_s: float | None = None, observer: Observer = SILENT
    ) -> tuple[NatCheck, ...]:
        """Find out how the NATs of routers behave, and compare it with their kinds.

        Args:
            deep: find out as well whether mappings last as long as requested, which takes so long.
            budget_s: timeouts for which that is too short are left out; 300 unless given.
            observer: receives the progress.
        """
        from testbed.lab import running  # noqa: PLC0415 (see above)

        return running.check_nats(self, observer, deep=deep, budget_s=budget_s)

    def run_workload(self, name: str) -> Summary:
        """Run one workload of the file and summarise it, without writing anything to disk.

        Raises:
            UsageError: there is no workload of that name.
            LabError: the workload failed.
        """
        from testbed.lab import running  # noqa: PLC0415 (see above)

        return running.run_one(self, name)

    def run(
        self,
        results: Path = Path("results"),
        *,
        only: Sequence[str] = (),
        capture: Sequence[str] = (),
        check: bool = True,
        check_budget_s: float | None = None,
        observer: Observer = SILENT,
    ) -> Run:
        """Check the links, run the workloads and write the run to disk.

        Args:
            results: the directory of all runs; this one is written to `results/LAB/TIME-ID`.
            only: names of the workloads to run; by default all of them.
            capture: names of nodes where packets are captured, besides those of the file; `all` is every node.
            check: whether to measure the links first; a run without checks is not trusted.
            check_budget_s: time limit of the checks, see `check`.
            observer: receives the progress.

        Raises:
            UsageError: there is no workload or node of that name.
            LabError: a workload or a capture failed; the run is on disk, marked incomplete.
        """
        from testbed.lab import running  # noqa: PLC0415 (see above)

        return running.run(
            self,
            arguments.path(results, "results"),
            only=arguments.texts(only, "only"),
            capture=arguments.texts(capture, "capture"),
            checked=check,
            budget_s=check_budget_s,
            observer=observer,
        )

    def repeat(
        self,
        times: int,
        results: Path = Path("results"),
        *,
        observer: Observer = SILENT,
        **options: Unpack[RunOptions],
    ) -> Repetitions:
        """Make several runs, one after the other, each as `run` does and in a directory of its own.

        Args:
            times: how many runs, 1 or more.
            results: the directory of all runs.
            observer: receives the progress, and each run when it is complete.
            options: of each run: `only`, `capture`, `check` and `check_budget_s`, see `run`.

        Returns:
            The runs, with the mean of each metric and its interval.

        Raises:
            UsageError, LabError: as `run`; there are no further runs then, and earlier ones are on disk.
        """
        from testbed.analysis.repetitions import Repetitions  # noqa: PLC0415 (see above)

        arguments.whole(times, "times", least=1, most=1000)
        runs = []
        for _ in range(times):
            run = self.run(results, observer=observer, **options)
            runs.append(run)
            observer.finished(run)
        return Repetitions(runs=tuple(runs))

    def capture(
        self,
        node: str,
        file: Path,
        *,
        network: str | None = None,
        snap_bytes: int = SNAP_BYTES,
        size_bytes: int = SIZE_BYTES,
    ) -> Capturing:
        """Return a context that captures packets at a node: `with lab.capture("client", Path("client.pcap")): ...`.

        Args:
            node: its name.
            file: the pcap file to write.
            network: the network to capture on, if the node is on several.
            snap_bytes: bytes to keep of each packet.
            size_bytes: limit on the size of all packets; the newest are kept.

        Raises:
            UsageError: there is no such node or network.
        """
        from testbed.lab import capturing  # noqa: PLC0415 (see above)

        file = arguments.path(file, "file")
        arguments.whole(snap_bytes, "snap_bytes", least=1, most=1 << 16)
        arguments.whole(size_bytes, "size_bytes", least=1, most=1 << 63)
        port = capturing.find_port(self.plan, node, network)
        return capturing.Capturing(self.agent, {port: file}, snap_bytes=snap_bytes, size_bytes=size_bytes)
