"""What `testbed doctor` finds missing."""

import sys

import pytest

from testbed.lab.machine import examine
from testbed.linux import clock, mounts


@pytest.fixture(autouse=True)
def _anew(monkeypatch):
    """Without a Docker Engine, and with a compiler that is looked for again."""
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    clock.library.cache_clear()
    yield
    clock.library.cache_clear()


def found(what):
    return next(finding for finding in examine() if finding.what == what)


def test_a_missing_compiler(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    compiler = found("C compiler")
    assert not compiler.fine
    assert "clock" in compiler.found
    assert compiler.hint.startswith("apt-get install gcc libc6-dev; nothing else")


def test_a_kernel_without_mount_setattr(monkeypatch):
    monkeypatch.setattr(mounts, "_MOUNT_SETATTR", 100_000)  # a system call that no kernel has
    kernel = found("kernel")
    assert not kernel.fine
    assert "too old" in kernel.found
    assert "5.12" in kernel.hint


def test_a_kernel_that_can_run_these_tests_is_new_enough():
    assert mounts.can_make_read_only()


def test_a_missing_library_of_the_live_view(monkeypatch):
    monkeypatch.setitem(sys.modules, "textual", None)
    assert not found("live view").fine
