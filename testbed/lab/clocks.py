"""Looks at the clock of a node after an event has changed it: as its programs do, and as they would without."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed import units
from testbed.errors import LabError, TestbedError
from testbed.runs import ClockSeen

if TYPE_CHECKING:
    from testbed.faults import SetClock
    from testbed.lab.connected import ConnectedLab

_LOOK = """
real() { LD_PRELOAD= date +%s.%N; }
echo "times $(real) $(date +%s.%N) $(real)"
for each in /proc/[0-9]*; do
    read -r name < $each/comm || continue
    case "$each $name" in "/proc/1 init" | *" docker-init") continue ;; esac
    grep -q . $each/maps || continue
    if ! grep -q clock.so $each/maps || grep -q "Go buildinf:" $each/exe; then echo "beyond $name"; fi
done 2> /dev/null
"""
"""Prints the machine's time, the node's and the machine's again, and the programs that read the machine's.

Those have not loaded the library, or are in Go, whose programs read the time without glibc even where they load it. The
first process of a netns node is the testbed's, that of a container may be the Docker Engine's.
"""

_SECOND_NS = 1_000_000_000


def look(lab: ConnectedLab, fault: SetClock, done_ns: int) -> ClockSeen:
    """Compare the clock of a node with what an event has made of it.

    Args:
        lab: with the node.
        fault: the event.
        done_ns: when it had happened, by the nodes' monotonic clock.

    Raises:
        LabError: `clock-not-seen`, the node's programs, or some of them, do not see it.
    """
    program = lab.program(fault.node, ["sh", "-c", _LOOK])
    try:
        lines = list(program)
        program.wait()
    except TestbedError as error:
        said = f"the clock of node {fault.node} can't be verified: {error.message}"
        raise LabError("clock-not-seen", said, "its image needs sh, date and grep") from None
    until_ns = lab.now_ns()
    seen = _seen(fault, lines)
    drifted = sorted((0, fault.drift_ppb * (until_ns - done_ns) // _SECOND_NS))
    if seen.at_least_ns > fault.offset_ns + drifted[1] or seen.at_most_ns < fault.offset_ns + drifted[0]:
        said = f"{fault}, and its programs see a clock that is {_ahead(seen.at_least_ns)} to {_ahead(seen.at_most_ns)}"
        raise LabError("clock-not-seen", said, "only programs that load glibc can have a clock of their own")
    if beyond := sorted({line.removeprefix("beyond ") for line in lines if line.startswith("beyond ")}):
        said = f"{fault}, and it does not reach {', '.join(beyond)}"
        hint = "static programs, those in Go and those with capabilities of their own (ping) read the machine's clock"
        raise LabError("clock-not-seen", said, hint)
    return seen


def _seen(fault: SetClock, lines: list[str]) -> ClockSeen:
    times = next((line.split()[1:] for line in lines if line.startswith("times ")), [])
    try:
        before_ns, own_ns, after_ns = map(_nanoseconds, times)
    except ValueError:
        said = f"the clock of node {fault.node} can't be verified: date says {' '.join(times) or 'nothing'}"
        raise LabError("clock-not-seen", said, "its image needs sh, date and grep") from None
    coarse_ns = 0 if all("." in each and each[-1].isdecimal() for each in times) else _SECOND_NS
    return ClockSeen(
        node=fault.node,
        offset_ns=fault.offset_ns,
        drift_ppb=fault.drift_ppb,
        at_least_ns=own_ns - after_ns - coarse_ns,
        at_most_ns=own_ns - before_ns + coarse_ns,
    )


def _nanoseconds(text: str) -> int:
    """Return what `date +%s.%N` prints, ns; some versions know no %N."""
    seconds, _, fraction = text.partition(".")
    return int(seconds) * _SECOND_NS + (int(fraction) if fraction.isdecimal() else 0)


def _ahead(ns: int) -> str:
    return f"{units.DURATION.format(abs(ns))} {'behind' if ns < 0 else 'ahead'}"
