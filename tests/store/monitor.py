"""Decides who is the primary of the store: python3 monitor.py [--careful] FIRST SECOND.

Nodes renew a lease here. When the primary has not done so for `DEAD_S`, or has lost its memory in a restart, the backup
takes over, if it is in sync: a primary tells here when it drops its backup, and when it has brought it up to date.

**The planted bug**: the monitor takes a dropped backup for one in sync as soon as it hears from it, and not when the
primary says so. If the primary dies in between, a backup takes over that lacks acknowledged writes. With --careful the
monitor does not have this bug.
"""

from __future__ import annotations

import json
import socket
import sys
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

PORT = 7001
DEAD_S, HEARD_S = 0.6, 0.3
"""Longer than a lease (node.py); how recently a backup must have been heard to take over."""


@dataclass
class Monitor:
    """What the monitor knows, and its decisions.

    Attributes:
        epoch: how often there was a new primary; 0 as long as there is none.
        synced: whether the backup is taken for one that has all acknowledged writes.
    """

    first: str
    second: str
    careful: bool
    epoch: int = 0
    primary: str = ""
    synced: bool = True
    boots: dict[str, str] = field(default_factory=dict)
    heard: dict[str, float] = field(default_factory=dict)

    def answer(self, message: dict[str, Any], now: float) -> dict[str, Any]:
        """Return the answer to a node or client."""
        if message["kind"] == "renew":
            self.renew(message["name"], message["boot"], now)
            answer = {"kind": "lease", "primary": self.primary, "synced": self.synced, "epoch": self.epoch}
            return answer | {"boot": message["boot"], "sent": message["sent"]}
        if message["kind"] in {"drop", "synced"}:
            if message["epoch"] == self.epoch and message["name"] != self.primary:
                self.synced = message["kind"] == "synced"
                return {"kind": "noted" if self.synced else "dropped", "epoch": self.epoch}
            return {"kind": "refused", "epoch": self.epoch}  # to one that is no longer the primary
        return {"kind": "primary", "primary": self.primary}

    def renew(self, name: str, boot: str, now: float) -> None:
        """Note that a node lives, and have the backup take over if the primary does not."""
        forgot = self.boots.get(name, boot) != boot
        self.boots[name], self.heard[name] = boot, now
        if not self.epoch:
            if len(self.boots) == 2:
                self.epoch, self.primary = 1, self.first
            return
        if name != self.primary:
            if not self.careful:
                self.synced = True  # the planted bug
            elif forgot:
                self.synced = False
        backup = self.second if self.primary == self.first else self.first
        lost = forgot if name == self.primary else now - self.heard[self.primary] > DEAD_S
        if lost and self.synced and now - self.heard[backup] < HEARD_S:
            self.epoch, self.primary, self.synced = self.epoch + 1, backup, False


def main(first: str, second: str, *, careful: bool) -> None:
    """Serve until killed."""
    monitor = Monitor(first, second, careful)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("0.0.0.0", PORT))
        while True:
            data, sender = sock.recvfrom(65536)
            answer = monitor.answer(json.loads(data), monotonic())
            try:
                sock.sendto(json.dumps(answer).encode(), sender)
            except OSError:  # its sender is off by now
                continue


words = sys.argv[1:]
main(*[word for word in words if word != "--careful"], careful="--careful" in words)
