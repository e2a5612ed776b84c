"""Writes to Redis all the time, to whom the sentinels say is the primary: python3 writer.py SECONDS SENTINEL...

Ten increments of a counter per second. Whenever there is no answer within half a second, or an error, it asks the
sentinels again. Prints a JSON object per attempt, and one at the end:

    {"acknowledged": increments so far, "refused": attempts so far}
    {"longest_gap_ms": between two acknowledgements, or an end, "primaries": how many there were, "lost": increments}

`lost` are acknowledged increments that the last primary has never heard of: Redis acknowledges first, and replicates
then. It first waits until sentinels and replica know each other, as they must before anything may fail.
"""

import json
import socket
import sys
import time
from typing import Any

EVERY, PATIENCE, STARTING = 0.1, 0.5, 30.0  # seconds

Address = tuple[str, int]


def call(address: Address, *words: str) -> Any:
    """Return the answer to a command, in Redis' protocol (RESP 2).

    Raises:
        OSError: there is none in time, or it is an error.
    """
    with socket.create_connection(address, PATIENCE) as sock, sock.makefile("rb") as answer:
        sock.sendall(f"*{len(words)}\r\n".encode() + b"".join(f"${len(word)}\r\n{word}\r\n".encode() for word in words))
        return parsed(answer)


def parsed(answer: Any) -> Any:
    """Return the next value of an answer."""
    line = answer.readline().decode().rstrip("\r\n")
    kind, rest = line[:1], line[1:]
    if kind == ":":
        return int(rest)
    if kind == "+":
        return rest
    if kind == "*":
        return [parsed(answer) for _ in range(int(rest))]
    if kind == "$":
        return None if rest == "-1" else answer.read(int(rest) + 2)[:-2].decode()
    raise ConnectionError(rest or "no answer")


def primary() -> Address | None:
    """Return the primary by the first sentinel that answers."""
    for sentinel in sentinels:
        try:
            host, port = call(sentinel, "SENTINEL", "get-master-addr-by-name", "shop")
        except (OSError, TypeError):
            continue
        return host, int(port)
    return None


def known(sentinel: Address) -> bool:
    """Whether a sentinel knows the replica, in sync, and both other sentinels."""
    try:
        replicas, others = (call(sentinel, "SENTINEL", what, "shop") for what in ("replicas", "sentinels"))
    except OSError:
        return False
    states = [dict(zip(each[::2], each[1::2], strict=True)) for each in replicas]
    return len(others) == len(sentinels) - 1 and any(each["master-link-status"] == "ok" for each in states)


sentinels = [(socket.gethostbyname(name), 26379) for name in sys.argv[2:]]
until = time.monotonic() + STARTING
while not all(map(known, sentinels)):
    if time.monotonic() > until:
        sys.exit("the sentinels don't know each other, or the replica")
    time.sleep(EVERY)

acknowledged = refused = count = 0
longest = 0.0
seen: set[Address] = set()
to = None
due = last = time.monotonic()
end = due + float(sys.argv[1])
while due < end:
    time.sleep(max(0.0, due - time.monotonic()))
    try:
        to = to or primary()
        if to is None:
            raise ConnectionError("no sentinel answers")
        count = call(to, "INCR", "orders")
    except OSError:
        refused, to = refused + 1, None
    else:
        acknowledged += 1
        seen.add(to)
        longest, last = max(longest, time.monotonic() - last), time.monotonic()
    print(json.dumps({"acknowledged": acknowledged, "refused": refused}), flush=True)
    due = max(due + EVERY, time.monotonic())
longest = max(longest, time.monotonic() - last)
print(json.dumps({"longest_gap_ms": round(longest * 1000), "primaries": len(seen), "lost": max(0, acknowledged - count)}))
