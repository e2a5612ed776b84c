"""A hunt finds the fault that breaks an expectation, goes on where it stopped, and leaves files that repeat it."""

import json
import shlex
import signal

import pytest

from tests.conftest import ROOT, remains
from tests.live.command_line import COMMAND, PATIENCE_S, begin, eventually, run

pytestmark = [pytest.mark.live, pytest.mark.netns]

TEXT = """
name: {name}
nodes: {{a: , b: }}
links:
  - {{between: [a, b], delay: 5ms}}
workloads:
  - {{name: voice, kind: udp-stream, from: a, to: b, rate: 64kbit, size: 160B, duration: 2s}}
chaos: {{every: 300ms, lasting: 500ms, faults: [delay, partition], most_down: 1}}
expect:
  - voice.delivered >= {expected}
"""


@pytest.fixture
def hunted(lab_name, tmp_path):
    def write(expected):
        file = tmp_path / f"{lab_name}.yml"
        file.write_text(TEXT.format(name=lab_name, expected=expected))
        return file

    return write


def hunt(file, lab_name, *options):
    where = ["--results", str(file.parent / "results"), "--output", str(file.with_name("found.yml"))]
    argv = ["--name", lab_name, "--runtime", "netns", "--runs", "6", "--fails", "1/1", *where, *options]
    return run("hunt", str(file), *argv, lab=lab_name)


def test_one_partition_is_enough_and_can_be_repeated(hunted, lab_name, tmp_path):
    file = hunted(expected=95)  # of 100: a delay loses none, a partition of a fifth of a second ten
    done = hunt(file, lab_name, "--json")
    assert done.returncode == 1, done.stdout + done.stderr
    found = json.loads(done.stdout)["found"]
    assert found["why"] == "voice.delivered >= 95"
    assert [sorted(entry) for entry in found["entries"]] == [["at", "for", "partition"]]
    assert (found["failed"], found["runs"]) == (1, 1)
    again = hunt(file, lab_name)
    assert again.returncode == 1
    assert f"export  {tmp_path / 'found.zip'}" in again.stdout
    made = json.loads(done.stdout)["runs"]
    assert json.loads(hunt(file, lab_name, "--json").stdout)["runs"] == made, "runs that are known were made again"
    options = ["--runtime", "netns", "--no-check", "--name", lab_name, "--results", str(tmp_path / "again")]
    repeated = run("run", str(tmp_path / "found.yml"), *options, lab=lab_name)
    assert repeated.returncode == 1
    assert "NOT met" in repeated.stdout


def test_what_fails_without_faults_is_no_find(hunted, lab_name):
    done = hunt(hunted(expected=101), lab_name)
    assert done.returncode == 2
    assert "fails-without-faults" in done.stderr


def test_a_command_here_may_be_what_fails(hunted, lab_name, tmp_path):
    file = hunted(expected=0)
    script = tmp_path / "reaches"
    ping = f'{shlex.join(COMMAND)} exec "$TESTBED_LAB" a -- ping -c1 -W0.2 b'
    script.write_text(f"#!/bin/sh\nfor i in 1 2 3 4 5 6 7 8; do {ping} || exit 1; done\n")
    script.chmod(0o755)
    done = hunt(file, lab_name, "--command", str(script))
    assert done.returncode in (0, 1), done.stdout + done.stderr
    if done.returncode:
        assert "reaches ended with status 1" in done.stdout


@pytest.mark.parametrize("seconds", ["0", "600"])
def test_ctrl_c_waits_for_no_fault_and_no_command(hunted, lab_name, tmp_path, seconds):
    """Faults are drawn for ten minutes; the command has ended, or would take as long."""
    file = hunted(expected=0)
    text = file.read_text().replace("every: 300ms", "every: 20s").replace("duration: 2s", "duration: 600s")
    file.write_text(text)
    begun = tmp_path / "begun"
    script = tmp_path / "program"
    script.write_text(f"#!/bin/sh\necho begun >> {begun}\n[ $(wc -l < {begun}) = 1 ] || {{ sleep {seconds}; exit; }}\n")
    script.chmod(0o755)
    argv = ["--name", lab_name, "--runtime", "netns", "--results", str(tmp_path / "results"), "--command", str(script)]
    process = begin("hunt", str(file), *argv, lab=lab_name)
    try:
        # The first is the run without faults.
        assert eventually(lambda: begun.exists() and begun.read_text() == "begun\nbegun\n")
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE_S) == 130, process.stderr.read()
    finally:
        process.kill()
        process.communicate(timeout=PATIENCE_S)  # what the command has started has ended too
    assert remains(lab_name) == []


def test_it_finds_the_two_faults_that_expose_the_bug_of_the_store(lab_name, tmp_path):
    """Of the four that the seed draws: the backup is away, and then the primary dies; the bug is in monitor.py."""
    where = ["--results", str(tmp_path / "results"), "--output", str(tmp_path / "found.yml")]
    argv = ["--name", lab_name, "--runtime", "netns", "--seed", "3", "--runs", "1", "--fails", "1/1", *where, "--json"]
    done = run("hunt", str(ROOT / "tests" / "store" / "store.yml"), *argv, lab=lab_name, timeout=600)
    assert done.returncode == 1, done.stdout + done.stderr
    found = json.loads(done.stdout)["found"]
    assert (found["drawn"], found["why"]) == (4, "client.data.stale_reads == 0")
    assert {entry["node"] for entry in found["entries"]} == {"first", "second"}
