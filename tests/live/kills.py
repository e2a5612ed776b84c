"""Trials of kill -9 or an interrupt at a moment that a seed decides; then the lab is taken down.

kill -9 hits a command or its agent, worker or endpoint, or a container; SIGINT and SIGTERM hit the command.
"""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

from tests.conftest import remains
from tests.live.command_line import PATIENCE_S, WAIT_S, begin, nothing_remains, processes, run, running
from tests.live.test_namespaces import connected_by

TOPOLOGY = """
name: kills
nodes: {a: , b: {command: [sleep, '300']}}
links: [{between: [a, b], delay: 5ms}]
workloads:
  - {name: ping, kind: ping, from: a, to: b, count: 5, interval: 100ms}
  - {name: stream, kind: udp-stream, from: a, to: b, rate: 80kbit, size: 100B, duration: 500ms}
"""

COMMANDS = ("up", "run", "check", "impair", "sweep", "down", "attach")
TARGETS = {"agent": "testbed.agent", "worker": "testbed.engines.userspace.worker", "endpoint": "testbed.endpoint"}


@dataclass(frozen=True)
class Trial:
    """What was done, and what came of it: empty texts where all is well.

    Attributes:
        what: the command, the runtime and the victim.
        failed: a traceback, a hang, or a `down` that failed.
        left: what is still there of the lab once it was taken down.
        void: why this was no trial: the lab to be killed could not be brought up in time, before anything was killed.
    """

    what: str
    failed: str = ""
    left: str = ""
    void: str = ""


def trial(seed, runtime, directory, signals=(signal.SIGKILL,)):
    """Kill or interrupt one process of a command; which, of which command, and when follows from the seed."""
    random, lab = Random(seed), f"test-{secrets.token_hex(5)}"
    command = random.choice(COMMANDS if runtime == "netns" and os.geteuid() == 0 else COMMANDS[:-1])
    number = random.choice(signals)
    others = [*TARGETS, *["container"] * (runtime == "docker")] if number == signal.SIGKILL else []
    target = random.choice(["command", *others])
    what = f"{seed}: {command} on {runtime}, {number.name}"
    if command == "attach":
        with connected_by("cable") as spaces:
            before = spaces.snapshot()
            done = _killed(random, lab, _attach(lab, spaces), target, number=number, end="detach", what=what)
            changed = sorted({*before} ^ {*spaces.snapshot()})
            return replace(done, left="\n".join([done.left, *changed]).strip())
    file = directory / f"{lab}.yml"
    file.write_text(TOPOLOGY)
    options = ["--name", lab, "--runtime", runtime]
    if command in ("impair", "down"):
        try:
            done = run("up", str(file), *options, lab=lab, timeout=WAIT_S)
        except subprocess.TimeoutExpired:
            done = None
        if not done or done.returncode:
            run("down", lab, lab=lab, timeout=WAIT_S)
            return Trial(what, void=done.stderr if done else f"up took longer than {WAIT_S} s")
    return _killed(random, lab, _argv(command, lab, file, options), target, number=number, end="down", what=what)


def _argv(command, lab, file, options):
    """The words of a command about a lab of the file."""
    results = ["--results", str(file.parent)]
    return {
        "up": ["up", str(file), *options],
        "run": ["run", str(file), *options, *results],
        "check": ["check", str(file), *options],
        "impair": ["impair", lab, "a", "b", "delay=20ms"],
        "sweep": ["sweep", str(file), *options, *results, "--set", "links[0].delay=5ms", "--repeat=1"],
        "down": ["down", lab],
    }[command]


def _attach(lab, spaces):
    a, b = spaces.names.values()
    return ["attach", "--namespace", a, b, "--name", lab, "--link", f"{a}->{b}", "delay=40ms"]


def _killed(random, lab, argv, target, *, number, end, what):
    """Start a command, send a signal to the target, and take down twice what it made."""
    with begin(*argv, lab=lab) as process:
        moment_s = random.uniform(0, 1)
        deadline = time.monotonic() + PATIENCE_S
        while target != "command" and not _there(lab, target) and process.poll() is None:
            if time.monotonic() > deadline:
                target = "command"
            time.sleep(0.01)
        time.sleep(moment_s)
        victim = _kill(random, lab, target, process, number)
        try:
            _, stderr = process.communicate(timeout=WAIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            _, stderr = process.communicate()
            stderr += f"Traceback: none, it hung for {WAIT_S} s".encode()
    started = b"Fatal Python error: init" not in stderr  # else the signal came before any code of ours
    failed = stderr.decode() if b"Traceback" in stderr and started else ""
    labs = {lab, *(path.name for path in Path("/run/testbed").glob(f"*/{lab}*"))}  # a sweep's have longer names
    for name in [*labs, *labs]:
        done = run(end, name, lab=lab, timeout=WAIT_S)
        failed += done.stderr if done.returncode or "Traceback" in done.stderr else ""
    left = "" if nothing_remains(lab) else str(processes(lab))
    left += "".join(found for name in labs for found in remains(name))
    return Trial(f"{what} to {victim}", failed, left)


def _there(lab, target):
    """The processes or containers of a target, at this moment."""
    if target == "container":
        argv = ["docker", "ps", "-q", "--filter", f"label=testbed.lab={lab}"]
        return subprocess.run(argv, capture_output=True, text=True, check=False).stdout.split()
    return running(TARGETS[target], processes(lab))


def _kill(random, lab, target, command, number):
    """Kill a process of the target; the command itself where there is none at that moment."""
    found = sorted(_there(lab, target)) if target != "command" else []
    if found and target == "container":
        subprocess.run(["docker", "kill", random.choice(found)], capture_output=True, check=False)
        return target
    if not found:
        command.send_signal(number)
        return "command"
    with suppress(ProcessLookupError):
        os.kill(random.choice(found), signal.SIGKILL)
    return target
