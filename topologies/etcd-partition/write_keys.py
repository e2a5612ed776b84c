"""Writes to an etcd cluster all the time.

    python3 write_keys.py SECONDS NAME SERVER... [--lead SERVER] [--agree SERVER...]

It writes one key after the other, each to the first server that acknowledges it. After a server took longer than half a
second, it is the last one to be tried. The program prints a JSON object per attempt, and one at the end:

    {"acknowledged": keys so far, "refused": attempts so far}
    {"longest_gap_ms": between two acknowledgements, or an end, "new_terms": elections won, "agree": 1, "missing": 0}

With --lead, the server is made the leader first. With --agree, the program waits in the end until these servers have
the same revision and the same keys, each by its own account: `agree` is 1 if they do, `missing` how many acknowledged
keys they lack. It speaks JSON with etcd's gRPC gateway, the paths /v3/... .
"""

import argparse
import base64
import http
import http.client
import json
import sys
import time
from typing import Any

EVERY, PATIENCE, AGREEING = 0.1, 0.5, 30.0  # seconds


def call(server: str, path: str, **message: str | bool) -> dict[str, Any] | None:
    """Return a server's answer, None if there is none in time, or it is an error."""
    connection = http.client.HTTPConnection(server, 2379, timeout=PATIENCE)
    try:
        connection.request("POST", f"/v3/{path}", json.dumps(message))
        response = connection.getresponse()
        answer: dict[str, Any] = json.loads(response.read())
    except (OSError, ValueError, http.client.HTTPException):
        return None
    finally:
        connection.close()
    return answer if response.status == http.HTTPStatus.OK else None


def status(server: str) -> dict[str, Any]:
    """Return what a server says about itself and the cluster, as soon as it does."""
    until = time.monotonic() + AGREEING
    while time.monotonic() < until:
        if (answer := call(server, "maintenance/status")) and answer.get("leader", "0") != "0":
            return answer
        time.sleep(EVERY)
    sys.exit(f"{server} has no leader")


def make_leader(server: str, servers: list[str]) -> None:
    """Have the leader hand over to a server."""
    until = time.monotonic() + AGREEING
    while time.monotonic() < until:
        known = [status(each) for each in servers]
        leader, member = known[0]["leader"], status(server)["header"]["member_id"]
        if leader == member:
            return
        for each, its in zip(servers, known, strict=True):
            if its["header"]["member_id"] == leader:
                call(each, "maintenance/transfer-leadership", targetID=member)
        time.sleep(EVERY)
    sys.exit(f"{server} does not become the leader")


def encoded(text: str) -> str:
    """Return text as the gateway has it."""
    return base64.b64encode(text.encode()).decode()


def content(server: str) -> tuple[str, list[tuple[str, str]]] | None:
    """Return a server's revision, and all keys with theirs: what it has itself, without a word to others."""
    answer = call(server, "kv/range", key=encoded("\0"), range_end=encoded("\0"), serializable=True)
    if answer is None:
        return None
    return answer["header"]["revision"], [(each["key"], each["mod_revision"]) for each in answer.get("kvs", [])]


parser = argparse.ArgumentParser()
parser.add_argument("seconds", type=float)
parser.add_argument("name")
parser.add_argument("servers", nargs="+")
parser.add_argument("--lead")
parser.add_argument("--agree", nargs="+", default=[])
options = parser.parse_args()

servers = list(options.servers)
if options.lead:
    make_leader(options.lead, servers)
first_term = int(status(servers[0])["raftTerm"])

acknowledged: list[str] = []
refused, longest = 0, 0.0
due = last = time.monotonic()
end = due + options.seconds
while due < end:
    time.sleep(max(0.0, due - time.monotonic()))
    key = encoded(f"{options.name}/{len(acknowledged) + refused:06}")
    if call(servers[0], "kv/put", key=key, value=encoded("x")):
        acknowledged.append(key)
        longest, last = max(longest, time.monotonic() - last), time.monotonic()
    else:
        refused += 1
        servers.append(servers.pop(0))
    print(json.dumps({"acknowledged": len(acknowledged), "refused": refused}), flush=True)
    due = max(due + EVERY, time.monotonic())
longest = max(longest, time.monotonic() - last)
outcome: dict[str, int] = {"longest_gap_ms": round(longest * 1000)}

if options.agree:
    found = [content(server) for server in options.agree]
    until = time.monotonic() + AGREEING
    while (None in found or any(each != found[0] for each in found)) and time.monotonic() < until:
        time.sleep(EVERY)
        found = [content(server) for server in options.agree]
    keys = {key for key, _ in found[0][1]} if found[0] else set()
    outcome["agree"] = int(found[0] is not None and all(each == found[0] for each in found))
    outcome["missing"] = len({*acknowledged} - keys)
outcome["new_terms"] = int(status(servers[0])["raftTerm"]) - first_term
print(json.dumps(outcome))
