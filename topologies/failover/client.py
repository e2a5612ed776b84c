"""Requests a page from the first of several servers that answers: python3 client.py SECONDS SERVER SERVER...

Ten requests per second, each to the first server at first. If a server does not answer within a second, the request
goes to the next one, and the server is avoided for a second. A request fails if no server answers when each was asked
twice. It goes on until the first server answers, for half a minute at most. Prints a JSON object per request:

    {"latency_ms": ..., "attempts": ..., "server": 1 for the first, "failed": 1 if none answered}
"""

import http
import http.client
import json
import socket
import sys
import time

EVERY, PATIENCE, AVOIDED, RETURNING = 0.1, 1.0, 1.0, 30.0  # seconds


def answers(address: str) -> bool:
    """Whether the server at an address sends its page in time."""
    connection = http.client.HTTPConnection(address, timeout=PATIENCE)
    try:
        connection.request("GET", "/")
        response = connection.getresponse()
        response.read()
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
    return response.status == http.HTTPStatus.OK


# Once, while all run: a name server may not know those that are off.
servers = [socket.gethostbyname(name) for name in sys.argv[2:]]
avoided = dict.fromkeys(servers, 0.0)
answered: str | None = servers[0]
due = time.monotonic()
end = due + float(sys.argv[1])
while due < end or (answered != servers[0] and due < end + RETURNING):
    time.sleep(max(0.0, due - time.monotonic()))
    begun, attempts, answered = time.monotonic(), 0, None
    # Those that answered last time first; then, rather than to give up, the others.
    for server in 2 * sorted(servers, key=lambda each: avoided[each] > begun):
        attempts += 1
        if answers(server):
            answered = server
            break
        avoided[server] = time.monotonic() + AVOIDED
    latency_ms = round((time.monotonic() - begun) * 1000, 1)
    number = servers.index(answered) + 1 if answered else 0
    told = {"latency_ms": latency_ms, "attempts": attempts, "server": number, "failed": int(answered is None)}
    print(json.dumps(told), flush=True)
    due = max(due + EVERY, time.monotonic())
