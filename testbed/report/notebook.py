"""The charts of a run for notebooks: those of its report, as objects that a notebook shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from testbed.analysis.samples import read_all
from testbed.errors import UsageError
from testbed.report.page import render
from testbed.report.run_page import stage_figures

if TYPE_CHECKING:
    from collections.abc import Iterator

    from testbed.report.charts import Figure
    from testbed.runs.run import Run


@dataclass(frozen=True, slots=True)
class Charts:
    """Charts, which a notebook shows as drawings; `charts[0]` is the first of them.

    Attributes:
        figures: of the report.
    """

    figures: tuple[Figure, ...]

    @property
    def titles(self) -> tuple[str, ...]:
        """What each of them shows."""
        return tuple(figure.title for figure in self.figures)

    def __len__(self) -> int:
        return len(self.figures)

    def __getitem__(self, number: int) -> Charts:
        """Return one of them; raise IndexError if there is none of that number."""
        return Charts((self.figures[number],))

    def __iter__(self) -> Iterator[Charts]:
        return (Charts((figure,)) for figure in self.figures)

    def __repr__(self) -> str:
        return f"<charts: {'; '.join(self.titles) or 'none'}>"

    def _repr_html_(self) -> str:
        return render("charts.html.j2", figures=self.figures)


def charts(run: Run, *workloads: str) -> Charts:
    """Return the charts of a run's samples that its report has: goodput, latency, loss and what the kernel says of TCP.

    Args:
        run: any run.
        workloads: only of these; workloads that ran together share their charts over time.

    Raises:
        UsageError: `unknown-workload`.
        MachineError: `no-charts`, vl-convert is not installed.
    """
    names = [workload.name for workload in run.plan.workloads]
    if unknown := [name for name in workloads if name not in names]:
        hint = f"its workloads are: {', '.join(names) or 'none'}"
        raise UsageError("unknown-workload", f"{run.path} has no workload {unknown[0]!r}", hint)
    recorded = read_all(run).samples
    figures = [
        figure
        for stage in run.plan.stages
        for figure in stage_figures(
            run.plan,
            [recorded[each.name] for each in stage if each.name in recorded and each.name in (workloads or names)],
            run.timeline,
        )
    ]
    return Charts(tuple(figures))
