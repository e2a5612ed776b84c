"""Several runs of one lab on the screen: a line for each, and what they say together."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from testbed import report
from testbed.analysis import formatting
from testbed.analysis.measures import measures
from testbed.analysis.repetitions import Repetitions
from testbed.cli import json_output
from testbed.cli.columns import Columns
from testbed.cli.screen import Screen

if TYPE_CHECKING:
    from collections.abc import Iterator

    from testbed.runs import Run

_MOST = 4
"""The number of metrics in the line of a run."""


class RepeatScreen(Screen):
    """Shows the progress of several runs, writes the report of each, and keeps those that are whole.

    Attributes:
        times: how many runs there are to be.
    """

    def __init__(self, times: int, *, quiet: bool) -> None:
        super().__init__(quiet=quiet)
        self.times = times
        self._runs: list[Run] = []

    @property
    def kept(self) -> Repetitions:
        """The runs that are complete."""
        return Repetitions(runs=tuple(self._runs))

    def finished(self, run: Run) -> None:
        """See `Observer`."""
        self._runs.append(run)
        values = ((measure, measure.of(run)) for measure in measures(run.plan))
        found = [f"{measure.label} {measure.text(value)}" for measure, value in values if value is not None]
        figures = ", ".join(found[:_MOST]) + (", ..." if len(found) > _MOST else "")
        number = f"{len(self._runs)} of {self.times}"
        self.say("repeat", "  ".join(part for part in (number, figures, formatting.run_verdict(run)) if part))
        for reason in run.why_not_trusted:
            self.say("trust", f"not trusted: {reason}")
        self.say("report", str(report.write(run)))

    @contextmanager
    def concluded(self, *, as_json: bool) -> Iterator[None]:
        """Print what the runs say together when the context is left, also by an error or Ctrl-C.

        Args:
            as_json: as JSON, where the screen is quiet.
        """
        try:
            yield
        finally:
            if as_json:
                json_output.show(self.kept.to_json())
            self._summarise()

    def _summarise(self) -> None:
        """Print the means over the runs with their intervals, and what was not as expected."""
        kept = self.kept
        if not kept.runs:
            return
        self.show("")
        if lines := kept.rows():
            self.show(Columns(("metric", "mean", "95 % interval", "least to greatest"), lines))
        if same := kept.same():
            self.show(f"the same in all runs: {', '.join(same)}")
        untrusted = sum(not run.trusted for run in kept)
        number = len(kept) if len(kept) == self.times else f"{len(kept)} of {self.times}"
        self.show("")
        self.say(
            "repeat",
            f"{number} runs, all with seed {kept.runs[0].plan.seed}; testbed sweep --repeat gives each run another",
        )
        if untrusted:
            self.say("trust", f"{untrusted} of {len(kept)} runs are not trusted; the means include them")
        for failure in kept.failures:
            self.say("failed", failure)
        self.say("result", str(kept.runs[0].path.parent))
