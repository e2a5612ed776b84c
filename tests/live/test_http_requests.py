"""Requests with a method, a body and headers, in both versions of HTTP, beside curl."""

from __future__ import annotations

import hashlib

import pytest

from testbed.endpoint.pattern import pattern
from testbed.lab import Lab, take_down
from testbed.plan import resolve
from testbed.topology import loads
from tests.live.grid import PROGRAMS

pytestmark = pytest.mark.live

BODY_BYTES = 100_000
SMALL_BYTES = 1000
"""Of a body that no server answers before it is whole: curl gives up on HTTP/2 streams that Apache then resets."""
RATE_NS = BODY_BYTES * 8 * 10**9 // 8_000_000
ROUND_TRIP_NS = 40_000_000
VERSIONS = {
    "h1": ("version: 1.1", "--http1.1 http"),
    "h1tls": ("version: 1.1, tls: true", "--http1.1 https"),
    "h2c": ("version: 2", "--http2-prior-knowledge http"),
    "h2tls": ("version: 2, tls: true", "--http2 https"),
}
COUNT = 3


def file(keys, server, digests, body_bytes=BODY_BYTES):
    workloads = "".join(
        f"  - {{name: {name}, kind: http, from: client, to: web, path: /1KB, count: {COUNT}, "
        f"method: POST, body: {body_bytes}B, "
        f'headers: {{X-Sha256: "{digests.get(name, "wrong")}"}}, {version}}}\n'
        for name, (version, _) in keys.items()
    )
    links = "links:\n  - {between: [client, web], delay: 20ms, rate: 8mbit}\n"
    return loads(f"name: posts\nnodes:\n  client:\n  web: {{{server}}}\n{links}workloads:\n{workloads}", "posts.yml")


@pytest.mark.netns
def test_the_server_gets_what_was_asked_for(lab_name):
    seeds = {workload.name: workload.seed for workload in resolve(file(VERSIONS, "", {})).workloads}
    digests = {name: hashlib.sha256(pattern(seed, BODY_BYTES)).hexdigest() for name, seed in seeds.items()}
    del digests["h2c"]  # which the server then refuses
    with Lab.up(file(VERSIONS, PROGRAMS["web"], digests), name=lab_name, runtime="netns") as lab:
        for name in VERSIONS:
            figure = lab.run_workload(name).number
            accepted = 0 if name == "h2c" else COUNT
            assert (figure("delivered"), figure("error_responses")) == (accepted, COUNT - accepted)
            assert (figure("sent_bytes"), figure("failed")) == (COUNT * BODY_BYTES, 0)
            if accepted:
                assert (figure("latency_min_ns") or 0) >= RATE_NS + ROUND_TRIP_NS // 2
                assert 0 < (figure("request_rate") or 0) <= 10**9 / RATE_NS
        upload = "head -c 100000 /dev/zero | curl -sS -o /dev/null -w %{time_total} --data-binary @- http://web/"
        by_curl = lab["client"].run(["sh", "-c", upload]).stdout
        assert float(by_curl) * 1e9 >= RATE_NS + ROUND_TRIP_NS // 2


@pytest.mark.docker
@pytest.mark.servers
@pytest.mark.parametrize("server", ["nginx", "apache"])
def test_real_servers_answer_as_they_answer_curl(lab_name, server):
    image = f"image: testbed-{server}, ready: {{tcp: 443}}"
    offered = {name: version for name, version in VERSIONS.items() if (server, name) != ("nginx", "h2c")}
    try:
        lab = Lab.up(file(offered, image, {}, SMALL_BYTES), name=lab_name, runtime="docker")
        for name, (_, options) in offered.items():
            summary = lab.run_workload(name)
            option, scheme = options.split()
            command = f"head -c {SMALL_BYTES} /dev/zero | curl -ksS -o /dev/null {option} -w '%{{http_code}}' "
            command += f"--data-binary @- {scheme}://web/1KB"
            status = lab["client"].run(["sh", "-c", command]).stdout.strip()
            assert summary.text("statuses") == f"{COUNT} x {status}"
            assert summary.number("sent_bytes") == COUNT * SMALL_BYTES
    finally:
        take_down(lab_name)
