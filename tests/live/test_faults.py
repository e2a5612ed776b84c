"""What becomes of a lab when something goes wrong: nothing of it remains, and whoever asked is told."""

from __future__ import annotations

import functools
import os
import re
import secrets
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from tests.conftest import ROOT, missing, remains
from tests.live.command_line import (
    COMMAND,
    WAIT_S,
    begin,
    down_twice,
    eventually,
    nothing_remains,
    processes,
    run,
    running,
    up_of,
)
from tests.runtimes import RUNTIMES

NOWHERE = {"DOCKER_HOST": "unix:///nowhere/docker.sock"}

TOPOLOGY = """
name: faults
networks: {one: {}, two: {}}
nodes:
  a: {networks: [one]}
  b: {networks: [one, two], command: [python3, -m, http.server, "8080"], ready: {tcp: 8080}}
  c: {networks: [two]}
links:
  - {between: [a, b], delay: 10ms}
  - {between: [b, c], delay: 10ms}
"""

pytestmark = pytest.mark.live

TRIES = 10


@pytest.fixture(params=RUNTIMES)
def runtime(request):
    return request.param


@pytest.fixture
def written(tmp_path):
    """Writes a topology file."""

    def write(text):
        path = tmp_path / "faults.yml"
        path.write_text(text, "utf-8")
        return str(path)

    return write


@pytest.fixture
def up_command(runtime, written, lab_name):
    """The command that brings the lab up; whatever becomes of it, it is taken down at the end."""
    yield up_of(written(TOPOLOGY), lab_name, runtime)
    if remains(lab_name):
        run("down", lab_name)


@pytest.fixture
def up(up_command, lab_name):
    """The name of a lab that is up."""
    done = run(*up_command, lab=lab_name)
    assert done.returncode == 0, done.stderr
    return lab_name


@functools.cache
def undisturbed_s(runtime):
    """Seconds that `up` takes undisturbed from its first line on, when the runtime is chosen and the making begins."""
    lab = f"test-{secrets.token_hex(5)}"
    with tempfile.NamedTemporaryFile("w", suffix=".yml", encoding="utf-8") as file:
        file.write(TOPOLOGY)
        file.flush()
        with begin(*up_of(file.name, lab, runtime), lab=lab) as process:
            process.stdout.readline()
            begun = time.monotonic()
            assert process.wait(WAIT_S) == 0, process.stderr.read()
            taken = time.monotonic() - begun
        run("down", lab)
    return taken


def disturbed(command, lab, number, delay_s):
    """Send `up` a signal some time after its first line; its exit status and what it said."""
    with begin(*command, lab=lab) as process:
        process.stdout.readline()
        time.sleep(delay_s)
        process.send_signal(number)
        _, stderr = process.communicate(timeout=WAIT_S)
    return process.returncode, stderr.decode()


@pytest.mark.parametrize("fraction", [0, 0.2, 0.4, 0.7])
def test_up_killed(up_command, runtime, lab_name, fraction):
    status, _ = disturbed(up_command, lab_name, signal.SIGKILL, fraction * undisturbed_s(runtime))
    assert status in (-signal.SIGKILL, 0)  # 0: it was quicker this time
    down_twice(lab_name)
    assert nothing_remains(lab_name)


@pytest.mark.parametrize(
    ("number", "fraction"),
    [(signal.SIGINT, 0), (signal.SIGINT, 0.3), (signal.SIGINT, 0.8), (signal.SIGTERM, 0.5)],
)
def test_up_interrupted(up_command, runtime, lab_name, number, fraction):
    delay_s = fraction * undisturbed_s(runtime)
    for _ in range(TRIES):
        status, stderr = disturbed(up_command, lab_name, number, delay_s)
        if status != 0:
            break
        run("down", lab_name)
        delay_s /= 2  # it was quicker this time
    assert status == 128 + number, stderr
    assert "Traceback" not in stderr
    assert nothing_remains(lab_name)


WORKLOADS = """
workloads:
  - together:
      - {name: stream, kind: udp-stream, from: a, to: b, rate: 100kbit, size: 100B, duration: 300s}
      - {name: ping, kind: ping, from: c, to: b, count: 1000, interval: 300ms}
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
@pytest.mark.parametrize("finished", ["engine", "check"])
def test_run_disturbed(runtime, written, lab_name, number, finished):
    """While the links are checked, once the engine is known, and while the workloads run, once they are checked."""
    file = Path(written(TOPOLOGY + WORKLOADS))
    results = file.with_name("results")
    _, *options = up_of(str(file), lab_name, runtime)
    with begin("run", *options, "--results", str(results), lab=lab_name) as process:
        while not (line := process.stdout.readline()).startswith(finished.encode()):
            assert line, process.stderr.read()
        if finished == "check":
            assert eventually(lambda: running("testbed.endpoint", processes(lab_name)))
        process.send_signal(number)
        _, stderr = process.communicate(timeout=WAIT_S)
    assert b"Traceback" not in stderr
    if number == signal.SIGKILL:
        down_twice(lab_name)
    else:
        assert process.returncode == 130
    assert nothing_remains(lab_name)
    assert all(run.suffix in (".incomplete", ".partial") for run in results.glob("*/*"))


def agents_of(lab):
    """The processes of a lab's agent, without those that it has forked for nodes, and without its guardian."""
    found = running("testbed.agent", processes(lab))
    agents = [pid for pid in found if Path(f"/proc/{pid}/comm").read_text() != "init\n"]
    parents = {pid: int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]) for pid in agents}
    return [pid for pid in agents if os.getsid(pid) != pid or parents[pid] not in agents]  # only it leads a session


def test_agent_killed(up, lab_name):
    os.kill(max(agents_of(lab_name)), signal.SIGKILL)
    assert eventually(lambda: re.search(rf"^{lab_name} .*broken", run("ps").stdout, re.MULTILINE))
    done = run("check", lab_name)
    assert done.returncode == 4
    assert "agent-gone" in done.stderr
    down_twice(lab_name)
    assert nothing_remains(lab_name)


def test_agent_stopped(up, lab_name):
    for agent in agents_of(lab_name):
        os.kill(agent, signal.SIGSTOP)
    done = run("ps")
    assert re.search(rf"^{lab_name} .*broken", done.stdout, re.MULTILINE)
    down_twice(lab_name)
    assert nothing_remains(lab_name)


def test_worker_killed(up, lab_name):
    workers = running("testbed.engines.userspace.worker", processes(lab_name))
    assert workers
    for worker in workers:
        os.kill(worker, signal.SIGKILL)
    assert run("exec", lab_name, "a", "--", "ping", "-c2", "-i0.2", "-W1", "b").returncode == 1
    assert re.search(rf"^{lab_name} .*broken.*worker", run("ps").stdout, re.MULTILINE)
    down_twice(lab_name)
    assert nothing_remains(lab_name)


FAILING = {
    "a setting that the kernel refuses": (4, "b: {sysctls: {net.ipv4.ip_default_ttl: none}}"),
    "a command that is not there": (4, "b: {command: [no-such-program]}"),
    "a port that never accepts": (4, "b: {ready: {tcp: 9, timeout: 300ms}}"),
}


@pytest.mark.parametrize("what", FAILING)
def test_a_step_that_fails_is_undone(runtime, written, lab_name, what):
    status, node = FAILING[what]
    path = written(f"name: fails\nnodes:\n  a: {{}}\n  {node}\nlinks:\n  - {{between: [a, b], delay: 10ms}}\n")
    done = run(*up_of(path, lab_name, runtime), lab=lab_name)
    assert done.returncode == status, done.stderr
    assert re.match(r"[a-z-]+: ", done.stderr)
    assert nothing_remains(lab_name)


@pytest.mark.docker
def test_an_image_that_is_nowhere_is_what_the_machine_lacks(written, lab_name):
    path = written("name: fails\nnodes: {a: {image: 'testbed.invalid/none:1'}, b: {}}\n")
    done = run(*up_of(path, lab_name, "docker"), lab=lab_name)
    assert done.returncode == 3
    assert "image-unavailable" in done.stderr
    assert "testbed.invalid/none:1" in done.stderr
    assert "hint:" in done.stderr
    assert nothing_remains(lab_name)


@pytest.mark.netns
def test_an_engine_that_is_not_here(written, lab_name):
    if not missing("netem"):
        pytest.skip("this kernel has sch_netem")
    done = run("up", written(TOPOLOGY), "--name", lab_name, "--runtime", "netns", "--engine", "netem", lab=lab_name)
    assert done.returncode == 3
    assert "hint:" in done.stderr
    assert nothing_remains(lab_name)


def test_a_wrong_file(written):
    path = written("name: wrong\nnodes: {a: {}, b: {}}\nlinks:\n  - {between: [a, c], delay: 10}\n")
    done = run("up", path)
    assert done.returncode == 2
    unknown, _, unitless = done.stderr.splitlines()
    assert unknown.startswith(f"{path}:4:19: unknown-node: ")
    assert unitless.startswith(f"{path}:4:30: bad-value: ")


def test_names_that_are_not_there(lab_name):
    done = run("up", "losy")
    assert done.returncode == 2
    assert "lossy" in done.stderr
    assert run("down", lab_name).returncode == 0
    for argv in (["exec", lab_name, "a", "--", "true"], ["impair", lab_name, "a", "b", "loss=1%"]):
        done = run(*argv)
        assert done.returncode == 2
        assert "no-such-lab" in done.stderr


def test_up_again(up, up_command, lab_name):
    before = agents_of(lab_name)
    done = run(*up_command)
    assert done.returncode == 0
    assert f"{lab_name} is up already" in done.stdout
    assert agents_of(lab_name) == before
    is_on, other = ("netns", "docker") if "netns" in up_command else ("docker", "netns")
    done = run(*(other if word == is_on else word for word in up_command))
    assert done.returncode == 4
    assert f"a lab {lab_name} is up, but on runtime {is_on}, not on {other}" in done.stderr
    done = run("run", lab_name, "--runtime", other)
    assert done.returncode == 2
    assert f"lab {lab_name} is up already, on runtime {is_on}" in done.stderr
    done = run("exec", lab_name, "z", "--", "true")
    assert done.returncode == 2
    assert "a, b, c" in done.stderr


@pytest.mark.netns
def test_a_lab_that_is_coming_up_is_not_called_broken(written, lab_name):
    path = written("name: x\nnodes: {a: {command: [sleep, infinity], ready: {tcp: 8080, timeout: 600s}}, b: }\n")
    with begin(*up_of(path, lab_name, "netns"), lab=lab_name) as process:
        try:
            coming_up = f"coming up (pid {process.pid}, since "
            assert eventually(lambda: f"{lab_name:<20} netns   {coming_up}" in run("ps").stdout or process.poll())
            assert process.poll() is None, process.stderr.read()
            examined = run("doctor").stdout
            assert f"{lab_name} is {coming_up}" in examined
            assert f"testbed down {lab_name}" not in examined
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=WAIT_S)
    assert nothing_remains(lab_name)


def test_without_docker(written, lab_name):
    path = written("name: plain\nnodes: {a: {}, b: {}}\n")
    done = run(*up_of(path, lab_name, "docker"), lab=lab_name, env=NOWHERE)
    assert done.returncode == 3
    assert "hint:" in done.stderr
    assert "/nowhere/docker.sock" in done.stderr
    assert nothing_remains(lab_name)
    try:
        done = run("up", path, "--name", lab_name, lab=lab_name, env=NOWHERE)
        assert done.returncode == 0, done.stderr
        assert re.search(r"^runtime *netns\b.*docker: .*/nowhere/docker.sock", done.stdout, re.MULTILINE)
    finally:
        done = run("down", lab_name, env=NOWHERE)
    assert done.returncode == 0
    assert nothing_remains(lab_name)


def test_from_a_directory_that_is_deleted(written, lab_name):
    """What needs no directory works; else it is the reason."""
    go = 'mkdir "$0" && cd "$0" && rmdir "$0" && exec "$@"'
    path = written(TOPOLOGY)

    def gone(*argv):
        command = ["sh", "-c", go, f"{path}.gone", *COMMAND, *argv]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=WAIT_S)

    assert gone("ps").returncode == 0
    done = gone("exec", lab_name, "a", "--", "true")
    assert (done.returncode, done.stderr.partition(":")[0]) == (2, "no-such-lab")
    for argv in (["up", "here.yml"], ["run", path, "--name", lab_name, "--runtime", "netns"]):
        done = gone(*argv)
        assert done.returncode == 2, done.stderr
        assert "Traceback" not in done.stderr
        assert "hint:" in done.stderr
    assert nothing_remains(lab_name)


@pytest.mark.netns
def test_where_nothing_can_be_written_to_run(written, lab_name):
    for options in ("--bind /run /run", "--types tmpfs none /run"):  # with a directory of labs in it, and without
        script = f'mount {options} && mount --options remount,bind,ro /run && exec "$0" "$@"'
        for argv in (["up", written(TOPOLOGY), "--name", lab_name, "--runtime", "netns"], ["down", lab_name]):
            command = ["unshare", "--mount", "sh", "-c", script, *COMMAND, *argv]
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=WAIT_S)
            assert done.returncode == 3, done.stderr
            said = r"state-not-written: .* /run/testbed.*: Read-only file system\n  hint: make /run"
            assert re.match(said, done.stderr)
    assert nothing_remains(lab_name)


def test_a_worker_that_is_stopped_does_not_outlive_its_agent(up, lab_name):
    workers = running("testbed.engines.userspace.worker", processes(lab_name))
    assert workers
    for worker in workers:
        os.kill(worker, signal.SIGSTOP)
    os.kill(max(agents_of(lab_name)), signal.SIGKILL)
    assert eventually(lambda: not running("testbed.engines.userspace.worker", processes(lab_name)))
