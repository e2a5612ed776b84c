"""What happens to a run from outside: its results have no place any more, or its agent no processor for seconds."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from contextlib import contextmanager

from tests.live.command_line import WAIT_S, begin, nothing_remains, processes, running

TOPOLOGY = """
name: disturbed
nodes: {{a: , b: }}
links: [{{between: [a, b], delay: 10ms}}]
workloads: [{{name: ping, kind: ping, from: a, to: b, count: {count}, interval: 10ms}}]
timeline:
  - {{at: 10ms, every: 100ms, until: {until_ms}ms, link: {{between: [a, b]}}, delay: [15ms, 20ms]}}
"""
"""Whenever it is disturbed, an event is due soon."""


@contextmanager
def begun_run(directory, lab, *, lasts_s, results=None):
    """A `run` whose timeline has begun. Its status, output and errors are in the list once the context has ended."""
    file = directory / "disturbed.yml"
    file.write_text(TOPOLOGY.format(count=round(lasts_s * 100), until_ms=round(lasts_s * 900)))
    argv = ["run", str(file), "--name", lab, "--runtime", "netns", "--results", str(results or directory / "results")]
    seen = b""
    found: list[int | str] = []
    with begin(*argv, "--no-check", lab=lab) as process:
        assert process.stdout
        while b"event " not in seen and (more := os.read(process.stdout.fileno(), 4096)):
            seen += more
        yield found
        stdout, stderr = process.communicate(timeout=WAIT_S)
    errors = stderr.decode()
    found += [process.returncode, (seen + stdout).decode(), errors]
    assert "Traceback" not in errors, errors
    assert nothing_remains(lab)


@contextmanager
def small_disk(place, options):
    """A file system of its own at a new directory, for root."""
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", place], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=True)


def results_vanish(directory, lab, lasts_s):
    """Delete the directory of results in mid-run."""
    with begun_run(directory, lab, lasts_s=lasts_s) as found:
        while (directory / "results").exists():  # the run may write into it meanwhile
            shutil.rmtree(directory / "results", ignore_errors=True)
    return found


def full(directory, lab, lasts_s):
    """Let results be on a file system that has hardly any room."""
    return _results_on("size=16k", directory, lab, lasts_s)


def read_only(directory, lab, lasts_s):
    """Let results be on a file system that nothing can be written to."""
    return _results_on("ro", directory, lab, lasts_s)


def _results_on(options, directory, lab, lasts_s):
    with (
        small_disk(directory / "disk", options) as disk,
        begun_run(directory, lab, lasts_s=lasts_s, results=disk) as found,
    ):
        pass
    return found


def agent_stopped(directory, lab, lasts_s, stopped_s):
    """Stop a lab's agent for a while in mid-run."""
    with begun_run(directory, lab, lasts_s=lasts_s) as found:
        agents = running("testbed.agent", processes(lab))
        assert agents
        for number, for_s in ((signal.SIGSTOP, stopped_s), (signal.SIGCONT, 0)):
            for pid in agents:
                os.kill(pid, number)
            time.sleep(for_s)
    return found
