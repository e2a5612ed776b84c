"""Trials of kill -9: one process of a command, at a moment that a seed decides; then the lab is taken down."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random

from tests.conftest import remains
from tests.live.command_line import PATIENCE_S, begin, nothing_remains, processes, run, running

TOPOLOGY = """
name: kills
nodes: {a: , b: {command: [sleep, '300']}}
links: [{between: [a, b], delay: 5ms}]
workloads:
  - {name: ping, kind: ping, from: a, to: b, count: 5, interval: 100ms}
  - {name: stream, kind: udp-stream, from: a, to: b, rate: 80kbit, size: 100B, duration: 500ms}
"""

COMMANDS = ("up", "run", "check", "impair", "sweep", "down")
TARGETS = {"agent": "testbed.agent", "worker": "testbed.engines.userspace.worker", "endpoint": "testbed.endpoint"}


@dataclass(frozen=True)
class Trial:
    """What was done, and what came of it: empty texts where all is well."""

    what: str
    failed: str
    left: str


def trial(seed, runtime, directory):
    """Kill one process of a command; which, of which command, and when follows from the seed."""
    random, lab = Random(seed), f"test-{secrets.token_hex(5)}"
    command, target = (
        random.choice(COMMANDS),
        random.choice(["command", *TARGETS, *["container"] * (runtime == "docker")]),
    )
    file = directory / f"{lab}.yml"
    file.write_text(TOPOLOGY)
    options = ["--name", lab, "--runtime", runtime]
    argv = {
        "up": ["up", str(file), *options],
        "run": ["run", str(file), *options, "--results", str(directory)],
        "check": ["check", str(file), *options],
        "impair": ["impair", lab, "a", "b", "delay=20ms"],
        "sweep": [
            "sweep",
            str(file),
            *options,
            "--results",
            str(directory),
            "--set",
            "links[0].delay=5ms",
            "--repeat=1",
        ],
        "down": ["down", lab],
    }[command]
    if command in ("impair", "down"):
        done = run("up", str(file), *options, lab=lab, timeout=5 * PATIENCE_S)
        assert done.returncode == 0, done.stderr
    with begin(*argv, lab=lab) as process:
        moment_s = random.uniform(0, 1)
        deadline = time.monotonic() + PATIENCE_S
        while target != "command" and not _there(lab, target) and process.poll() is None:
            assert time.monotonic() < deadline, f"no {target} of {command}"
            time.sleep(0.01)
        time.sleep(moment_s)
        victim = _kill(random, lab, target, process)
        try:
            _, stderr = process.communicate(timeout=5 * PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            _, stderr = process.communicate()
            stderr += b"Traceback: none, it hung"
    failed = stderr.decode() if b"Traceback" in stderr else ""
    labs = {lab, *(path.name for path in Path("/run/testbed").glob(f"*/{lab}*"))}  # a sweep's have longer names
    for name in [*labs, *labs]:
        done = run("down", name, lab=lab, timeout=5 * PATIENCE_S)
        failed += done.stderr if done.returncode or "Traceback" in done.stderr else ""
    left = "" if nothing_remains(lab) else str(processes(lab))
    left += "".join(what for name in labs for what in remains(name))
    return Trial(f"{seed}: {command} on {runtime}, {victim} killed", failed, left)


def _there(lab, target):
    """The processes or containers of a target, at this moment."""
    if target == "container":
        argv = ["docker", "ps", "-q", "--filter", f"label=testbed.lab={lab}"]
        return subprocess.run(argv, capture_output=True, text=True, check=False).stdout.split()
    return running(TARGETS[target], processes(lab))


def _kill(random, lab, target, command):
    """Kill a process of the target; the command itself where there is none at that moment."""
    found = sorted(_there(lab, target)) if target != "command" else []
    if found and target == "container":
        subprocess.run(["docker", "kill", random.choice(found)], capture_output=True, check=False)
        return target
    if not found:
        command.kill()
        return "command"
    with suppress(ProcessLookupError):
        os.kill(random.choice(found), signal.SIGKILL)
    return target
