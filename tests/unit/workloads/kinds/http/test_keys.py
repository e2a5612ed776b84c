from __future__ import annotations

import pytest

from testbed.plan import resolve
from testbed.topology import TopologyError, loads


def file(keys):
    return (
        "name: x\nnodes: {client: , web: }\n"
        f"workloads: [{{name: pages, kind: http, from: client, to: web{keys and ', ' + keys}}}]\n"
    )


def planned(keys):
    [workload] = resolve(loads(file(keys), "x.yml")).workloads
    return workload


def test_keys_have_defaults():
    workload = planned("")
    assert workload.port == 80
    assert workload.parameters == {
        "host": "web",
        "path": "/",
        "version": "1.1",
        "tls": False,
        "count": 100,
        "concurrency": 1,
        "connect": "once",
        "congestion": "cubic",
    }


@pytest.mark.parametrize(
    ("keys", "port", "parameters"),
    [
        ("tls: true", 443, {"tls": True}),
        ("tls: true, port: 8443, path: '/a?b=c#'", 8443, {"path": "/a?b=c#"}),
        ("version: 2", 80, {"version": "2"}),
        ("method: POST, body: 10KB", 80, {"method": "POST", "body_bytes": 10_000}),
        ("headers: {Accept: text/html, X-A: '1; b'}", 80, {"headers": ("Accept: text/html", "X-A: 1; b")}),
        ("version: 1.1, duration: 3s, concurrency: 8", 80, {"duration_ns": 3 * 10**9, "concurrency": 8}),
    ],
)
def test_keys_become_parameters(keys, port, parameters):
    workload = planned(keys)
    assert workload.port == port
    assert parameters.items() <= workload.parameters.items()
    assert ("count" in workload.parameters) is ("duration_ns" not in workload.parameters)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ("version: 3", "must be 1.1 or 2"),
        ("version: true", "put it in quotes"),
        ("path: index.html", "which is not a path"),
        ("path: '/a b'", "which is not a path"),
        ("count: 5, duration: 3s", "is given beside duration"),
        ("body: 10KB", "is given beside the method GET"),
        ("method: POST, body: 101MB", "must be"),
        ("method: FETCH", "GET"),
        ("headers: {Host: x}", "is set by the client itself"),
        ("headers: {Transfer-Encoding: x}", "is set by the client itself"),
        ("headers: {'a b': x}", "the name of a header"),
        ('headers: {A: "x\\r\\nB: y"}', "the value of a header"),
        ("concurrency: 0", "must be"),
        ("concurrency: 1001", "must be"),
        ("port: 65536", "must be"),
        ("connect: never", "once"),
    ],
)
def test_invalid_keys_are_reported(keys, said):
    with pytest.raises(TopologyError) as caught:
        loads(file(keys), "x.yml")
    assert said in str(caught.value)
