"""Workloads of kind http against the images' Apache httpd and nginx, beside curl."""

from __future__ import annotations

import hashlib
import statistics

import pytest

from testbed.errors import MachineError
from testbed.lab import Lab, take_down
from testbed.topology import loads
from testbed.workloads.errors import WorkloadError

MS = 1_000_000
ROUND_TRIP = 80 * MS
COUNT = 5
ATTEMPTS = 10
"""Until what this machine may have been too busy for counts."""

SERVERS = ("apache", "nginx")

pytestmark = [pytest.mark.live, pytest.mark.docker, pytest.mark.servers]


@pytest.fixture
def up(lab_name):
    yield lambda text: Lab.up(loads(f"name: web\n{text}", "web.yml"), name=lab_name, runtime="docker")
    take_down(lab_name)


def workload(server, name, keys):
    return f"  - {{name: {server}-{name}, kind: http, from: client, to: {server}, count: {COUNT}, {keys}}}\n"


def test_http_beside_curl(up):
    nodes = "".join(f"  {server}: {{image: testbed-{server}, ready: {{tcp: 443}}}}\n" for server in SERVERS)
    links = "".join(f"  - {{between: [client, {server}], delay: 40ms}}\n" for server in SERVERS)
    kinds = {
        "plain": "path: /1KB, connect: each",
        "tls": "path: /1KB, connect: each, tls: true",
        "h2": "path: /1KB, connect: each, tls: true, version: 2",
        "h2c": "path: /1MB, version: 2, concurrency: 3",
    }
    workloads = "".join(workload(server, *one) for server in SERVERS for one in kinds.items())
    lab = up(f"nodes:\n  client:\n{nodes}links:\n{links}workloads:\n{workloads}")
    for server in SERVERS:
        assert served(lab, server, "100KB") == hashlib.sha256(content(100_000)).hexdigest()
        for name, url, options, round_trips in (
            ("plain", f"http://{server}/1KB", "--http1.1", 2),
            ("tls", f"https://{server}/1KB", "--http1.1", 3),
            ("h2", f"https://{server}/1KB", "--http2", 3),
        ):
            for _ in range(ATTEMPTS):
                ours, theirs = lab.run_workload(f"{server}-{name}"), by_curl(lab, url, options)
                apart = {figure: abs(ours.values[figure] - theirs[figure]) for figure in theirs}
                print(f"{server} {name}: {ours.values}, curl {theirs}")  # noqa: T201
                if max(apart.values()) < ROUND_TRIP / 2:
                    break
            assert max(apart.values()) < ROUND_TRIP / 2, apart
            assert ours.values["delivered"] == ours.values["connections"] == COUNT, ours
            assert server in ours.values["server"].lower()
            assert ours.values["protocol"] == {"plain": "HTTP/1.1", "tls": "HTTP/1.1 over TLSv1.3"}.get(
                name, "HTTP/2 over TLSv1.3"
            )
            assert ours.values["latency_min_ns"] >= round_trips * ROUND_TRIP
            if url.startswith("https"):
                assert ours.values["tls_ns"] >= ROUND_TRIP
    ours = lab.run_workload("apache-h2c")
    assert (ours.values["delivered"], ours.values["connections"]) == (COUNT, 1)
    assert ours.values["delivered_bytes"] == COUNT * 1_000_000
    with pytest.raises(WorkloadError) as caught:
        lab.run_workload("nginx-h2c")
    assert caught.value.code == "http-version-refused"


def content(size):
    return b"".join(b"%d\n" % number for number in range(1, size))[:size]


def served(lab, server, name):
    done = lab["client"].run(["sh", "-c", f"curl -s http://{server}/{name} | sha256sum"])
    return done.stdout.split()[0]


def by_curl(lab, url, options):
    """Medians, ns, of the times from a request's begin until curl was connected or secured, answered and done."""
    form = "%{time_connect} %{time_appconnect} %{time_starttransfer} %{time_total}\\n"
    loop = f"for each in $(seq {COUNT}); do curl -sSk {options} -o /dev/null -w '{form}' {url}; done"
    done = lab["client"].run(["sh", "-c", loop])
    assert done.status == 0, done.stderr
    rows = [[float(value) * 1e9 for value in line.split()] for line in done.stdout.splitlines()]
    connected, secured, begun, done = (statistics.median(column) for column in zip(*rows, strict=True))
    return {"setup_ns": secured or connected, "ttfb_p50_ns": begun, "latency_p50_ns": done}


def test_an_image_that_make_images_would_build_is_never_pulled(up):
    with pytest.raises(MachineError) as caught:
        up("nodes: {a: {image: testbed-nothing}}")
    assert (caught.value.code, caught.value.hint) == ("image-missing", "testbed images builds it")
