"""Which runtime `auto` takes beside a Docker Engine that has no images and reaches no registry."""

import json
import os
import subprocess
import sys
import time

import pytest

pytestmark = [pytest.mark.live, pytest.mark.docker, pytest.mark.netns]

START_SECONDS = 60


@pytest.fixture(scope="module")
def bare_engine(tmp_path_factory):
    """The environment of commands that meet a Docker Engine of their own, without any image or network.

    It has a network namespace of its own: a Docker Engine without a bridge deletes the `docker0` of another one.
    """
    place = tmp_path_factory.mktemp("engine")
    address = f"unix://{place}/docker.sock"
    argv = [
        "unshare",
        "--net",
        "dockerd",
        "--host",
        address,
        "--data-root",
        place / "data",
        "--exec-root",
        place / "exec",
    ]
    argv += ["--pidfile", place / "pid", "--bridge=none", "--iptables=false", "--ip-forward=false"]
    environment = {**os.environ, "DOCKER_HOST": address}
    with (place / "log").open("wb") as log, subprocess.Popen(argv, stdout=log, stderr=log) as engine:
        try:
            deadline = time.monotonic() + START_SECONDS
            while subprocess.run(["docker", "version"], env=environment, capture_output=True, check=False).returncode:
                assert engine.poll() is None, (place / "log").read_text()
                assert time.monotonic() < deadline, (place / "log").read_text()
                time.sleep(0.1)
            yield environment
        finally:
            engine.terminate()


def run(environment, *argv):
    command = [sys.executable, "-m", "testbed", *map(str, argv)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_namespaces_are_taken_where_the_image_is_missing(bare_engine, lab_name):
    done = run(bare_engine, "up", "lan", "--name", lab_name)
    try:
        assert done.returncode == 0, done.stderr
        assert "runtime netns" in done.stdout
        assert "docker: testbed:latest, an image of testbed's own, is missing" in done.stdout
        listed = run(bare_engine, "ps", "--json")
        assert [lab["runtime"] for lab in json.loads(listed.stdout) if lab["lab"] == lab_name] == ["netns"]
    finally:
        assert run(bare_engine, "down", lab_name).returncode == 0


@pytest.mark.parametrize(
    ("node", "reason"),
    [("{image: 'no-such-image.invalid/a:1'}", "can't be pulled"), ("{memory: 64MB}", "limits need containers")],
)
def test_a_topology_that_needs_containers_fails_with_the_fix(bare_engine, lab_name, tmp_path, node, reason):
    path = tmp_path / "needs.yml"
    path.write_text(f"name: needs\nnodes: {{a: {node}, b: }}\n", encoding="utf-8")
    done = run(bare_engine, "up", path, "--name", lab_name)
    assert done.returncode == 3
    assert "no-runtime: docker: " in done.stderr
    assert "; netns: node a asks for " in done.stderr
    assert reason in done.stderr
    assert "hint: " in done.stderr


def test_docker_is_insisted_on(bare_engine, lab_name):
    done = run(bare_engine, "up", "lan", "--name", lab_name, "--runtime", "docker")
    assert done.returncode == 3
    assert "hint: testbed images" in done.stderr
