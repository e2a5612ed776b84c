"""The only client of the store: python3 client.py SECONDS. Prints {"reads": M, "stale_reads": N, "writes": W}.

It writes increasing numbers to a few keys in turn, each until it is acknowledged, and reads another key after each. A
read is stale if it returns less than the last number that was acknowledged for this key.
"""

from __future__ import annotations

import json
import socket
import sys
from itertools import count
from time import monotonic, sleep
from typing import Any

KEYS = [f"k{number}" for number in range(8)]
EVERY_S, PATIENCE_S = 0.02, 0.15
end = monotonic() + float(sys.argv[1])
numbers = count(1)


def ask(sock: socket.socket, to: str, port: int, **message: Any) -> dict[str, Any]:
    """Return the answer of a node, or an empty one if there is none in time."""
    try:
        sock.sendto(json.dumps(message).encode(), (socket.gethostbyname(to), port))
        until = monotonic() + PATIENCE_S
        while (left := until - monotonic()) > 0:
            sock.settimeout(left)
            answer: dict[str, Any] = json.loads(sock.recv(65536))
            if answer.get("id") == message.get("id"):
                return answer
    except OSError:  # no answer, or that node is off
        pass
    return {}


def request(sock: socket.socket, primary: list[str], **message: Any) -> dict[str, Any]:
    """Return the answer of the node that is the primary at that time; an empty one at the end."""
    number = next(numbers)
    while monotonic() < end:
        answer = ask(sock, primary[0], 7000, id=number, **message) if primary[0] else {}
        if answer and answer["kind"] != "refused":
            return answer
        sleep(EVERY_S)
        primary[0] = ask(sock, "monitor", 7001, kind="who").get("primary", "")
    return {}


acknowledged = dict.fromkeys(KEYS, 0)
reads = stale = writes = 0
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
    primary = [""]
    for turn in count():
        key, other = KEYS[turn % len(KEYS)], KEYS[(turn + len(KEYS) // 2) % len(KEYS)]
        if request(sock, primary, kind="write", key=key, value=turn + 1):
            writes += 1
            acknowledged[key] = turn + 1
        if answer := request(sock, primary, kind="read", key=other):
            reads += 1
            stale += answer["value"] < acknowledged[other]
        if monotonic() >= end:
            break
        sleep(EVERY_S)
print(json.dumps({"reads": reads, "stale_reads": stale, "writes": writes}))
