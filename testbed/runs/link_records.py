"""The record of the counters of links over the time of a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from testbed.errors import UsageError
from testbed.runs.observations import Row, observations

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from testbed.matching import LinkKey

LINKS_FILE: Final = "links.jsonl"
"""The file with the samples, in the run's directory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkRecord:
    """The counters of links during a run.

    Attributes:
        file: with the samples, as seen from the run's directory. Each line is an object with `event`, which is `link`,
            the name of the `link` (`client -> server on wan`), and columns coded as `testbed.endpoint.columns` does:
            `at_ns`, and the counters of `testbed.engines.counters` that the link's engine has. A link that nothing
            crossed has no line.
        interval_ns: the least time between two samples of a link.
        links: number of links that have samples.
        samples: of all links together.
    """

    file: str
    interval_ns: int
    links: int
    samples: int


def link_observations(run: Path, record: LinkRecord | None, links: Sequence[LinkKey], name: str) -> Iterator[Row]:
    """Yield the samples of a link's counters, one per row, in the order of time.

    Args:
        run: the run's directory.
        record: its record of links, if it has one.
        links: those of the run.
        name: of the link, `client -> server`, with the network if there are several; spaces don't matter.

    Raises:
        UsageError: `unknown-link`; `no-samples`; `samples-unreadable`.
    """
    wanted = "".join(name.split())
    asked = {str(key) for key in links if wanted in ("".join(str(key).split()), "".join(key.name.split()))}
    if not asked:
        hint = f"its links are: {', '.join(sorted({key.name for key in links})) or 'none'}"
        raise UsageError("unknown-link", f"{run} has no impaired link {name!r}", hint)
    if record is None:
        raise UsageError("no-samples", f"{run} has no samples of links", "a version of testbed without them made it")
    return (row for row in observations(run / record.file) if row.get("link") in asked)
