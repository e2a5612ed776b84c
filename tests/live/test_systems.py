"""Real systems under faults, by the shipped topologies: what they expect holds with the faults, and not without them.

In network namespaces, with this machine's etcd and Redis; `test_shipped` runs the same files in containers.
"""

from __future__ import annotations

import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

from testbed.runs import load as load_run
from testbed.topology import find
from tests.live.command_line import run
from tests.live.own_programs import without_images

pytestmark = pytest.mark.live

NEEDED = {"failover": (), "etcd-partition": ("etcd",), "redis-sentinel": ("redis-server", "redis-sentinel")}
MARKS = {
    "failover": ("first: kill", "first: start"),
    "etcd-partition": ("partition s1, beside | s2, s3, outside", "heal all"),
    "redis-sentinel": ("redis: kill",),
}
PATIENCE_S = 240


def carried_out(file, lab, results):
    """Run a file to its end as a person would; the links are others' subject."""
    options = ("--name", lab, "--runtime", "netns", "--no-check", "--results", results)
    done = run("run", file, *options, lab=lab, timeout=PATIENCE_S)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    result = load_run("latest", results)
    assert result.is_whole
    return result


def unmet(result):
    return [f"{each.expectation}: {each}" for each in result.outcomes if not each.met]


@pytest.mark.netns
@pytest.mark.parametrize("name", NEEDED)
def test_a_system_survives_its_faults_and_what_is_expected_needs_them(name, lab_name, tmp_path):
    if missing := [program for program in NEEDED[name] if not shutil.which(program)]:
        pytest.skip(f"this machine has no {', '.join(missing)}")
    faulty, calm = (tmp_path / each for each in ("faulty", "calm"))
    file = without_images(name, faulty)
    head, _, rest = without_images(name, calm).read_text().partition("\ntimeline:\n")
    (calm / file.name).write_text(f"{head}\nexpect:\n{rest.partition('expect:')[2]}")
    with ThreadPoolExecutor() as pool:
        with_faults = pool.submit(carried_out, file, f"{lab_name}-faulty", faulty / "results")
        without = pool.submit(carried_out, calm / file.name, f"{lab_name}-calm", calm / "results")
    assert unmet(with_faults.result()) == []
    assert unmet(without.result()) != []
    report = (with_faults.result().path / "report.html").read_text()
    assert all(f">{mark}</text>" in report for mark in MARKS[name])


@pytest.mark.parametrize(
    ("script", "package"),
    [
        ("etcd-partition/member.sh", "etcd-server"),
        ("redis-sentinel/redis.sh", "redis-server"),
        ("redis-sentinel/sentinel.sh", "redis-sentinel"),
    ],
)
def test_a_node_without_its_program_says_what_to_install(script, package):
    path = find(script.partition("/")[0]).parent / script
    done = subprocess.run(
        ["/bin/sh", path, "redis"], env={"PATH": "/nowhere"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 127
    assert f"apt-get install {package}" in done.stderr
