"""Writes to Redis all the time, to the primary that the sentinels name: python3 orders.py SECONDS SENTINEL...

Ten increments of a counter per second. Whenever there is no answer within half a second, or an error, it asks the
sentinels again. It does not end amid a fail-over, but goes on until an increment is acknowledged, for half a minute at
most. Prints a JSON object per attempt, and one at the end:

    {"acknowledged": increments so far, "refused": attempts so far}
    {"longest_gap_ms": between two acknowledgements, or an end, "primaries": how many there were, "lost": increments}

`lost` are acknowledged increments that the last primary has never heard of: Redis acknowledges first, and replicates
then.
"""

import json
import socket
import sys
import time
from collections.abc import Iterator
from typing import BinaryIO

EVERY, PATIENCE, RECOVERING = 0.1, 0.5, 30.0  # seconds

Address = tuple[str, int]


def call(address: Address, *words: str) -> list[str]:
    """Return the answer to a command, in Redis' protocol (RESP 2); of lists in lists all entries, one after the other.

    Raises:
        OSError: there is none in time, or it is an error.
    """
    with socket.create_connection(address, PATIENCE) as sock, sock.makefile("rb") as answer:
        sock.sendall(f"*{len(words)}\r\n".encode() + b"".join(f"${len(word)}\r\n{word}\r\n".encode() for word in words))
        return [*entries(answer)]


def entries(answer: BinaryIO) -> Iterator[str]:
    """Yield the entries of the next value of an answer."""
    line = answer.readline().decode().rstrip("\r\n")
    kind, rest = line[:1], line[1:]
    if kind == "*":
        for _ in range(int(rest)):
            yield from entries(answer)
    elif kind == "$":
        yield answer.read(int(rest) + 2)[:-2].decode()
    elif kind in {":", "+"}:
        yield rest
    else:
        raise ConnectionError(rest or "no answer")


def primary() -> Address:
    """Return the primary by the first sentinel that answers.

    Raises:
        OSError: none does.
    """
    for sentinel in sentinels:
        try:
            host, port = call(sentinel, "SENTINEL", "get-master-addr-by-name", "shop")
        except OSError:
            continue
        return host, int(port)
    raise ConnectionError("no sentinel answers")


sentinels = [(socket.gethostbyname(name), 26379) for name in sys.argv[2:]]
acknowledged = refused = count = 0
longest = 0.0
seen: set[Address] = set()
to: Address | None = None
due = last = time.monotonic()
end = due + float(sys.argv[1])
while due < end or (to is None and due < end + RECOVERING):
    time.sleep(max(0.0, due - time.monotonic()))
    try:
        to = to or primary()
        (number,) = call(to, "INCR", "orders")
    except OSError:
        refused, to = refused + 1, None
    else:
        acknowledged, count = acknowledged + 1, int(number)
        seen.add(to)
        longest, last = max(longest, time.monotonic() - last), time.monotonic()
    print(json.dumps({"acknowledged": acknowledged, "refused": refused}), flush=True)
    due = max(due + EVERY, time.monotonic())
longest = max(longest, time.monotonic() - last)
lost = max(0, acknowledged - count)
print(json.dumps({"longest_gap_ms": round(longest * 1000), "primaries": len(seen), "lost": lost}))
