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
from time import monotonic

PORT = 7001
DEAD_S, HEARD_S = 0.6, 0.3
"""Longer than a lease (node.py); how recently a backup must have been heard to take over."""


def main(first: str, second: str, *, careful: bool) -> None:
    """Serve until killed."""
    boots: dict[str, str] = {}
    heard: dict[str, float] = {}
    epoch, primary, synced = 0, "", True
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("0.0.0.0", PORT))
        while True:
            data, sender = sock.recvfrom(65536)
            message, now = json.loads(data), monotonic()
            kind, name = message["kind"], message.get("name", "")
            answer = {"kind": "primary", "primary": primary}
            if kind == "renew":
                forgot = boots.get(name, message["boot"]) != message["boot"]
                boots[name] = message["boot"]
                if not epoch:
                    if len(boots) == 2:
                        epoch, primary = 1, first
                elif name != primary:
                    if not careful:
                        synced = True
                    elif forgot:
                        synced = False
                heard[name] = now
                backup = second if primary == first else first
                lost = forgot if name == primary else now - heard.get(primary, now) > DEAD_S
                if epoch and lost and synced and now - heard[backup] < HEARD_S:
                    epoch, primary, synced = epoch + 1, backup, False
                answer = {"kind": "lease", "primary": primary, "synced": synced, "epoch": epoch}
                answer |= {"boot": message["boot"], "sent": message["sent"]}
            elif kind in {"drop", "synced"}:
                if message["epoch"] != epoch or name == primary:
                    continue
                synced = kind == "synced"
                answer = {"kind": "dropped", "epoch": epoch}
            try:
                sock.sendto(json.dumps(answer).encode(), sender)
            except OSError:  # its sender is off by now
                continue


words = sys.argv[1:]
main(*[word for word in words if word != "--careful"], careful="--careful" in words)
