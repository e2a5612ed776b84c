"""Looks at the clock of a node after an event has changed it: as its programs do, and as they would without."""

from __future__ import annotations

import time
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
    case "$each $name" in
        "/proc/1 init" | *" docker-init") continue ;;
        *" init" | *" runc:["*) kind=loading ;;
        *) kind=beyond ;;
    esac
    maps=$(grep . $each/maps) && read -r stat < $each/stat || continue
    set -- ${stat##*) }
    case $maps in
        *clock.so*) grep -q "Go buildinf:" $each/exe || continue ;;
        */libc.so*) ;;
        *) grep -qE "/ld(-linux|64)" $each/exe; case $? in 0) kind=loading ;; 1) ;; *) continue ;; esac ;;
    esac
    echo "$kind $each:${20} $name"
done 2> /dev/null
"""
"""Prints the machine's time, the node's and the machine's again, and the programs that read the machine's.

Those have loaded glibc but not the library, which comes first; or are static; or are in Go, whose programs read the
time without glibc even where they load it. What names a dynamic loader but has no glibc yet is still being loaded
(ld.so(8)); so is what the first process of a netns node, or the Docker Engine's runc, has forked to become a program.
That first process is the testbed's, the first one of a container may be the Docker Engine's. A process is printed with
its directory and the time of its start, which together are no other's (proc(5), stat); any may end at any time.
"""

_LOADING_S = 10
_AGAIN_S = 0.1

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
    lines = _look(lab, fault.node)
    until_ns = lab.now_ns()
    seen = _seen(fault, lines)
    drifted = sorted((0, fault.drift_ppb * (until_ns - done_ns) // _SECOND_NS))
    if seen.at_least_ns > fault.offset_ns + drifted[1] or seen.at_most_ns < fault.offset_ns + drifted[0]:
        said = f"{fault}, and its programs see a clock that is {_ahead(seen.at_least_ns)} to {_ahead(seen.at_most_ns)}"
        raise LabError("clock-not-seen", said, "only programs that load glibc can have a clock of their own")
    if beyond := _beyond(lab, fault.node, lines):
        said = f"{fault}, and it does not reach {', '.join(beyond)}"
        hint = "static programs, those in Go and those with capabilities of their own (ping) read the machine's clock"
        raise LabError("clock-not-seen", said, hint)
    return seen


def _look(lab: ConnectedLab, node: str) -> list[str]:
    try:
        program = lab.program(node, ["sh", "-c", _LOOK])
        lines = list(program)
        program.wait()
    except TestbedError as error:
        said = f"the clock of node {node} can't be verified: {error.message}"
        raise LabError("clock-not-seen", said, "its image needs sh, date and grep") from None
    return lines


def _beyond(lab: ConnectedLab, node: str, lines: list[str]) -> list[str]:
    """Return the names of programs that read the machine's clock, by what a look has printed.

    What is still being loaded then gets the time for that, however busy the machine is.
    """
    beyond, loading = _found("beyond", lines), _found("loading", lines)
    deadline = time.monotonic() + _LOADING_S
    while loading and not beyond:
        if time.monotonic() > deadline:
            return sorted({*loading.values()})
        time.sleep(_AGAIN_S)
        lines = _look(lab, node)
        beyond, loading = (
            {process: name for process, name in _found(kind, lines).items() if process in loading}
            for kind in ("beyond", "loading")
        )
    return sorted({*beyond.values()})


def _found(kind: str, lines: list[str]) -> dict[str, str]:
    """Return the names of programs of a kind, by what tells their processes."""
    found = (line.split(" ", 2) for line in lines if line.startswith(f"{kind} "))
    return {process: name for _, process, name in found}


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
