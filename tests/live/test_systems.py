"""Real systems under faults, by the shipped topologies: what they expect holds with the faults, and not without them.

In network namespaces, with this machine's etcd and Redis; `test_shipped` runs the same files in containers.
"""

from __future__ import annotations

import secrets
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from testbed.runs import load as load_run
from testbed.topology import find
from tests.conftest import remains
from tests.live.command_line import run
from tests.live.lateness import judged, unmet
from tests.live.own_programs import without_images

pytestmark = pytest.mark.live

NEEDED = {"failover": (), "etcd-partition": ("etcd",), "redis-sentinel": ("redis-server", "redis-sentinel")}
MARKS = {
    "failover": ("first: kill", "first: start"),
    "etcd-partition": ("partition s1, beside | s2, s3, outside", "heal all"),
    "redis-sentinel": ("redis: kill",),
}
PATIENCE_S = 240
SURVIVES = "test_a_system_survives_its_faults_and_what_is_expected_needs_them"


def carried_out(file, results):
    """Run a file to its end as a person would; the links are others' subject."""
    lab = f"test-{secrets.token_hex(5)}"
    options = ("--name", lab, "--runtime", "netns", "--no-check", "--results", results)
    done = run("run", file, *options, lab=lab, timeout=PATIENCE_S)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    assert remains(lab) == []
    result = load_run("latest", results)
    assert result.is_whole
    return result


def without_faults(file):
    """Take the timeline out of a file."""
    head, _, rest = file.read_text().partition("\ntimeline:\n")
    file.write_text(f"{head}\nexpect:\n{rest.partition('expect:')[2]}")
    return file


@pytest.fixture(scope="module")
def begun(request, tmp_path_factory):
    """The runs of all systems that were selected, with faults and without, all at once: most of a run is waiting."""
    chosen = [each.callspec.params["name"] for each in request.session.items if each.originalname == SURVIVES]
    with ThreadPoolExecutor(2 * len(NEEDED)) as pool:
        runs = {}
        for name in chosen:
            if all(map(shutil.which, NEEDED[name])):
                faulty, calm = (tmp_path_factory.mktemp(f"{name}-{each}") for each in ("faulty", "calm"))
                files = without_images(name, faulty), without_faults(without_images(name, calm))
                runs[name] = (
                    pool.submit(judged, partial(carried_out, files[0], faulty / "results")),
                    pool.submit(judged, partial(carried_out, files[1], calm / "results"), is_fine=unmet),
                )
        yield runs


@pytest.mark.netns
@pytest.mark.parametrize("name", NEEDED)
def test_a_system_survives_its_faults_and_what_is_expected_needs_them(name, begun):
    if name not in begun:
        pytest.skip(f"this machine has no {' or no '.join(NEEDED[name])}")
    faulty, calm = (each.result() for each in begun[name])
    assert unmet(faulty) == []
    assert unmet(calm) != []
    assert calm.timeline == ()
    report = (faulty.path / "report.html").read_text()
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
