"""What network namespaces refuse of services, and what becomes of the rest."""

import os
import pwd
import resource
from pathlib import Path

import pytest

from testbed.errors import MachineError
from testbed.plan import resolve
from testbed.runtime import netns_services
from testbed.services import CAPABILITIES
from testbed.topology import loads


@pytest.fixture
def plan(tmp_path):
    (tmp_path / "Dockerfile").touch()

    def made(keys):
        text = f"name: x\nnetworks: {{lan: {{internal: false}}}}\nnodes: {{a: {{{keys}}}}}"
        return resolve(loads(text, "x.yml", tmp_path))

    return made


@pytest.mark.parametrize(
    ("keys", "named"),
    [
        ("image: nginx", "image 'nginx'"),
        ("build: .", "a build of ."),
        ("cpus: 1", "a limit on CPU or memory"),
        ("memory: 1GB", "a limit on CPU or memory"),
        ("devices: [/dev/null]", "devices"),
        ("restart: always", "restart"),
        ("pull_policy: never", "pull_policy"),
        ("platform: linux/amd64", "platform"),
        ("labels: {a: b}", "labels"),
        ("ready: {healthcheck: true}", "ready: healthcheck"),
    ],
)
def test_what_needs_containers_is_refused_with_the_reason(plan, keys, named):
    with pytest.raises(MachineError) as caught:
        netns_services.require(plan(keys))
    assert caught.value.code == "needs-containers"
    assert caught.value.message.startswith(f"node a asks for {named}, and ")
    assert caught.value.message.endswith(" containers")
    assert caught.value.hint
    assert "--runtime docker" in caught.value.hint


def test_restart_no_needs_nothing(plan):
    netns_services.require(plan("restart: 'no'"))


@pytest.mark.parametrize(
    ("keys", "code"),
    [
        ("volumes: ['.:/no/such/place']", "no-such-target"),
        ("volumes: ['.:/proc']", "no-such-target"),
        ("tmpfs: /no/such/place", "no-such-target"),
        ("user: no-such-user", "no-such-user"),
        ("user: 'root:no-such-group'", "no-such-user"),
        ("ulimits: {locks: 5}", "not-permitted"),
    ],
)
def test_what_this_machine_lacks_is_refused(plan, keys, code):
    with pytest.raises(MachineError) as caught:
        netns_services.require(plan(keys))
    assert caught.value.code == code
    assert caught.value.hint


def test_an_ordinary_user_has_no_other_users_and_no_higher_limits(plan, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(resource, "getrlimit", lambda _: (100, 200))
    netns_services.require(plan("user: root, ulimits: {nofile: 200}"))
    for keys in ("user: daemon", "user: '5'", "ulimits: {nofile: 201}", "ulimits: {nofile: -1}"):
        with pytest.raises(MachineError, match="not-permitted"):
            netns_services.require(plan(keys))


def test_files_are_named_that_are_not_here(plan, tmp_path):
    made = plan("volumes: ['./Dockerfile:/etc/motd', '.:/srv']")
    (tmp_path / "Dockerfile").unlink()
    with pytest.raises(MachineError, match=r"missing-files: .*: a: volume \./Dockerfile\n"):
        netns_services.require(made)


def test_users_become_ids_of_this_machine(plan, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)

    def user(text):
        made = plan(f"user: '{text}'")
        return netns_services.surroundings(made, made.node("a"), Path("/run/lab")).user

    daemon = pwd.getpwnam("daemon")
    assert user("daemon")[:2] == user(str(daemon.pw_uid))[:2] == (daemon.pw_uid, daemon.pw_gid)
    assert user("daemon:root") == (daemon.pw_uid, 0, (0,))
    assert user("54321:12345") == (54321, 12345, (12345,))
    assert user("54321") == (54321, 0, (0,))


def test_paths_are_those_of_the_topologys_directory(plan, tmp_path):
    made = plan("volumes: ['./Dockerfile:/etc/motd:ro'], dns: [198.18.0.9, 198.18.0.10]")
    found = netns_services.surroundings(made, made.node("a"), Path("/run/lab"))
    assert [(each.source, each.read_only) for each in found.volumes] == [(str(tmp_path / "Dockerfile"), True)]
    assert found.resolver == "nameserver 198.18.0.9\nnameserver 198.18.0.10\n"


@pytest.mark.parametrize(
    ("keys", "has", "lacks"),
    [
        ("user: root", {"NET_ADMIN", "NET_RAW", "CHOWN"}, {"SYS_ADMIN", "MKNOD", "SYS_PTRACE"}),
        ("cap_add: [SYS_PTRACE], cap_drop: [NET_ADMIN]", {"SYS_PTRACE", "NET_RAW"}, {"NET_ADMIN", "SYS_ADMIN"}),
        ("cap_add: [ALL], cap_drop: [MKNOD]", {"SYS_ADMIN", "BPF"}, {"MKNOD"}),
        ("cap_drop: [ALL], cap_add: [CHOWN]", {"CHOWN"}, {*CAPABILITIES} - {"CHOWN"}),
        ("cap_drop: [ALL]", set(), {*CAPABILITIES}),
        ("cap_drop: [ALL], cap_add: [ALL]", {*CAPABILITIES}, set()),
        ("privileged: true, cap_drop: [ALL]", {*CAPABILITIES}, set()),
    ],
)
def test_capabilities_are_added_and_dropped_as_by_docker(plan, keys, has, lacks):
    made = plan(keys)
    kept = {*netns_services.surroundings(made, made.node("a"), Path("/run/lab")).capabilities}
    assert has <= kept
    assert not lacks & kept
