"""A lab that tests use: it remembers what a failed test's report shows."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from testbed.errors import TestbedError
from testbed.lab import Lab, capturing
from testbed.pytest_plugin import KEPT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pytest

    from testbed.agent.messages import LinkStatistics
    from testbed.runs import Run
    from testbed.workloads.summary import Summary

_LOG_LINES = 50
_NAME_LENGTH = 200
"""Of a directory: parameters may make the name of a test longer than file systems have names."""

_MOST_PORTS = 8
"""A capture is a process that takes a tenth of a second to start; labs with more ports are not captured."""

_SNAP_BYTES = 128
_RING_BYTES = 256 << 10


class LabInTest(Lab):
    """A lab of the fixture `lab`, or of one that `testbed.pytest.lab_fixture` made."""

    _directory: Path
    _capturing: capturing.Capturing | None = None
    _packets = 0
    _summaries: tuple[Summary, ...] = ()
    _shared = False
    _keep = False

    def remember_in(self, directory: Path, *, shared: bool) -> None:
        """Set where the files of failed tests are kept, and whether further tests use the lab."""
        self._directory = directory
        self._shared = shared

    def begin(self, *, packets: int) -> None:
        """Begin to remember what happens.

        Args:
            packets: how many of a node's last packets a failed test shows; 0 captures none.
        """
        self._packets = packets
        self._capture()

    def _capture(self) -> None:
        ports = capturing.ports_of(self.plan, [capturing.ALL])
        if self._packets and len(ports) <= _MOST_PORTS:
            files = {port: self._directory / port.file for port in ports}
            self._capturing = capturing.Capturing(
                self.agent, files, snap_bytes=_SNAP_BYTES, size_bytes=_RING_BYTES
            ).__enter__()

    def _captured(self) -> None:
        """End the captures, whose files are complete then."""
        if self._capturing is not None:
            ending, self._capturing = self._capturing, None
            with suppress(TestbedError):  # of a node that the test stopped, for example
                ending.__exit__(None, None, None)

    def run_workload(self, name: str) -> Summary:
        """See `Lab.run_workload`; its metrics become properties of the test."""
        summary = super().run_workload(name)
        self._summaries += (summary,)
        return summary

    def run(self, *args: Any, **options: Any) -> Run:  # noqa: ANN401  # see Lab.run
        """See `Lab.run`; its metrics become properties of the test."""
        run = super().run(*args, **options)
        self._summaries += tuple(run.summaries)
        return run

    def properties(self) -> list[tuple[str, object]]:
        """Return what becomes a property of the test, in a JUnit report too: the lab, and metrics in their units."""
        values = [
            (f"{summary.workload}.{name}", value)
            for summary in self._summaries
            for name, value in summary.values.items()
            if value is not None
        ]
        self._summaries = ()
        return [("testbed.lab", f"{self.plan.topology} on {self.runtime}, seed {self.plan.seed}"), *values]

    def failed(self, item: pytest.Item) -> list[tuple[str, str]]:
        """Keep files for a failed test, and return the sections of its report."""
        self._keep = item.config.getoption("--testbed-keep")
        kept = self._directory / re.sub(r"[^\w.-]+", "-", item.name)[:_NAME_LENGTH]
        kept.mkdir(exist_ok=True)
        sections = []
        with suppress(TestbedError):  # its agent may have ended
            sections = [("Links of the lab", "\n".join(map(_line, self.statistics())) or "no link is impaired")]
            report = self.attachments()
            happened = [*(incident.what for incident in report.incidents), *report.problems]
            sections += [("Events of the lab", "\n".join(happened))] if happened else []
        for node, log in self.log_ends():
            (kept / f"{node}.log").write_bytes(log)
            last = log.decode(errors="replace").splitlines()[-_LOG_LINES:]
            sections.append((f"Log of node {node}", "\n".join(last)))
        sections += self._packet_sections(kept)
        if log := self.agent_log():
            (kept / "agent.log").write_bytes(log)
        (kept / "plan.json").write_text(json.dumps(self.plan.to_json(), indent=1))
        return [*sections, ("Files of the lab", str(kept))]

    def _packet_sections(self, kept: Path) -> Iterator[tuple[str, str]]:
        """Yield the last packets of each port; their captures move to the directory."""
        if self._capturing is None:
            return
        self._captured()
        for port in capturing.ports_of(self.plan, [capturing.ALL]):
            file = self._directory / port.file
            if file.exists():
                file = file.rename(kept / port.file)
                if lines := _packets(file)[-self._packets :]:
                    yield f"Last packets at {port.node} on {port.network}", "\n".join(lines)
        if self._shared:
            self._capture()

    def after_test(self) -> None:
        """Restore the lab to what its topology says, if further tests use it."""
        if self._shared:
            with suppress(TestbedError):  # the next test finds out
                self.restore()

    def end(self, config: pytest.Config) -> None:
        """Take the lab down, unless it is to be left up after a failed test."""
        try:
            self._captured()
        finally:
            if self._keep:
                config.stash.setdefault(KEPT, []).append((self.name, next(iter(self))))
            else:
                self.down()
        if self._keep:
            return
        for port in capturing.ports_of(self.plan, [capturing.ALL]):
            (self._directory / port.file).unlink(missing_ok=True)
        with suppress(OSError):  # files of failed tests are in it
            self._directory.rmdir()


def _line(link: LinkStatistics) -> str:
    counts = link.counts
    dropped = ", ".join(f"{reason} {count}" for reason, count in counts.dropped.items())
    passed = f"{counts.packets_in or 0} packets in, {counts.packets_out or 0} out"
    return f"{link.key}   {link.impairments.describe()}   {passed}{f'; {dropped}' if dropped else ''}"


def _packets(file: Path) -> list[str]:
    """Return the packets of a capture, one line each, as tcpdump shows them; none where there is no tcpdump."""
    if not shutil.which("tcpdump"):
        return [f"install tcpdump to see them here; they are in {file}"]
    shown = subprocess.run(["tcpdump", "-nr", file], capture_output=True, text=True, errors="replace", check=False)
    return shown.stdout.splitlines()
