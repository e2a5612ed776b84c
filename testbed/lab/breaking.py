"""Faults of nodes of a lab that is up, as methods of a node."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from testbed import arguments

if TYPE_CHECKING:
    from collections.abc import Sequence

BringAbout = Callable[[str, str, object, str | None], tuple[str, ...]]
"""`Lab.bring_about`."""


class Breakable:
    """A node for which faults can be brought about."""

    def __init__(self, name: str, bring_about: BringAbout) -> None:
        self.name = name
        self._bring_about = bring_about

    def pause(self, seconds: float | None = None) -> None:
        """Pause all processes of the node, for a while or until `unpause`.

        Args:
            seconds: return when so much time is over and the node runs again; by default return at once.

        Raises:
            LabError: `contradicting-fault`, the node is paused or off already; the node can't be paused.
            MachineError: `not-controlled`, its processes are not the lab's.
        """
        self.bring_about("pause", _lasting(seconds))

    def unpause(self) -> None:
        """Let the processes of the node go on; see `pause`."""
        self.bring_about("unpause", True)  # noqa: FBT003

    def stop(self, seconds: float | None = None) -> None:
        """Ask the node's program to end, kill it after ten seconds, and switch the node off; see `pause`."""
        self.bring_about("stop", _lasting(seconds))

    def kill(self, signal: str = "SIGKILL", *, seconds: float | None = None) -> None:
        """Send the node's program a signal; SIGKILL ends all processes of the node and switches it off; see `pause`.

        Args:
            signal: its name.
            seconds: start the node again when so much time is over; only with SIGKILL.
        """
        self.bring_about("kill", signal if seconds is None else _lasting(seconds))

    def start(self) -> None:
        """Switch the node on; return when its program has begun and its links are impaired. See `pause`."""
        self.bring_about("start", True)  # noqa: FBT003

    def restart(self) -> None:
        """`stop`, then `start`."""
        self.bring_about("restart", True)  # noqa: FBT003

    def throttle(self, cpus: float, *, seconds: float | None = None) -> None:
        """Give the processes of the node so much CPU time, in cores; for a while, or until another call.

        Args:
            cpus: how many.
            seconds: return when so much time is over and the node has what it had at first; by default at once.

        Raises:
            MachineError: `no-limits`, this machine or user can't limit the node.
        """
        self.bring_about("cpus", cpus, seconds=seconds)

    def set_clock(self, offset_seconds: float = 0, *, drift_ppm: float = 0, seconds: float | None = None) -> None:
        """Set the clock of the node's programs ahead (negative: behind), and make it go faster or slower, from now on.

        Args:
            offset_seconds: at once.
            drift_ppm: how much more, in microseconds for each second.
            seconds: see `throttle`.

        Raises:
            MachineError: `no-clock`, the timeline of the lab's file has no event with `clock` for the node.
            LabError: `clock-not-seen`, the node's programs do not see it.
        """
        drift = f"{drift_ppm:.3f}ppm"
        value = {"offset": f"{round(offset_seconds * 1e9)}ns", "drift": drift}
        self.bring_about("clock", value, seconds=seconds)

    def set_dns(
        self,
        name: str,
        *,
        fails: Literal["nxdomain", "servfail", "timeout"] | None = None,
        slow_seconds: float | None = None,
        answer: str | Sequence[str] = (),
        seconds: float | None = None,
    ) -> None:
        """Have a name fail, be slow or lead elsewhere for programs of the node; with none of these, it works again.

        Args:
            name: that they look up; `*` is all names.
            fails: there is no such name, the name server has failed, or nothing answers.
            slow_seconds: how much later it is answered.
            answer: addresses, or names of nodes, to which it leads instead.
            seconds: see `throttle`.

        Raises:
            UsageError: more than one of them is given; an answer is no address and no node.
            LabError, MachineError: the node's lookups can't be changed.
        """
        slow = None if slow_seconds is None else f"{round(slow_seconds * 1e9)}ns"
        listed = [answer] if isinstance(answer, str) else [*answer]
        wanted = {"fails": fails, "slow": slow, "answer": listed or None}
        given = {key: value for key, value in wanted.items() if value is not None}
        self.bring_about("dns", {"name": name, **(given or {"heal": True})}, seconds=seconds)

    def fill_disk(self, path: str, *, full: bool = True, seconds: float | None = None) -> None:
        """Make the file system at a path of the node full; with `full=False`, as large as before.

        Args:
            path: a directory of the node on a file system in memory that only the node has.
            full: whether it is.
            seconds: see `throttle`.

        Raises:
            MachineError: `disk-not-own`, it is not such a file system.
        """
        self.bring_about("disk", {"path": path, "full": full}, seconds=seconds)

    def slow_disk(self, path: str, bytes_per_second: float | None, *, seconds: float | None = None) -> None:
        """Limit how fast processes of the node read, and write, the disk at a path; None is as before.

        Args:
            path: a directory of the node on a disk.
            bytes_per_second: at least 4096.
            seconds: see `throttle`.

        Raises:
            MachineError: `no-disk-limit`, this machine can't limit it for the node alone.
        """
        rate = "unlimited" if bytes_per_second is None else f"{round(bytes_per_second * 8)}bit"
        self.bring_about("disk", {"path": path, "rate": rate}, seconds=seconds)

    def bring_about(self, kind: str, value: object, *, seconds: float | None = None) -> tuple[str, ...]:
        """Bring a fault about by its key in a timeline, and return what happened: `bring_about("pause", "3s")`.

        Args:
            kind: the key.
            value: of that key.
            seconds: how long it lasts, for faults with `for` beside them.

        Raises:
            UsageError: `unknown-fault`; the value is wrong.
            LabError, MachineError: see `pause`.
        """
        return self._bring_about(self.name, kind, value, None if seconds is None else str(_lasting(seconds)))


def _lasting(seconds: float | None) -> object:
    checked = arguments.seconds(seconds, "seconds")
    return True if checked is None else f"{round(checked * 1e6)}us"
