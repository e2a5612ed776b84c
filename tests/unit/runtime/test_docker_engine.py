"""Connecting to a Docker Engine that is not there, and what its answers mean."""

from __future__ import annotations

import socket
import threading

import pytest
import requests
from docker.errors import APIError
from hypothesis import given
from hypothesis import strategies as st

from testbed.errors import LabError, MachineError
from testbed.runtime.docker import DockerRuntime, engine
from testbed.runtime.docker.engine import DockerEngine, in_parallel, is_passing, refusals


def answer(status, text):
    """What the SDK raises when the Docker Engine answers so."""
    response = requests.Response()
    response.status_code = status
    return APIError("refused", response, text)


def test_without_a_socket_there_is_no_docker_engine(tmp_path, monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    with pytest.raises(MachineError, match=r"docker-missing.*none\.sock(.|\n)*apt-get install docker\.io"):
        DockerEngine()


def test_a_socket_without_a_listener_is_an_error(tmp_path, monkeypatch):
    path = tmp_path / "left.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
    with pytest.raises(MachineError, match=r"docker-stopped.*left\.sock(.|\n)*systemctl start docker"):
        DockerEngine()


def test_an_address_behind_ssh(monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", "ssh://somewhere")
    with pytest.raises(MachineError, match=r"docker-over-ssh.*ssh://somewhere(.|\n)*ssh -N -L"):
        DockerEngine()


def test_without_an_engine_there_is_nothing_to_use_and_nothing_to_remove(tmp_path, monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    runtime = DockerRuntime()
    found = runtime.probe()
    assert not found.usable
    assert "none.sock" in found.reason
    assert found.hint
    assert runtime.down("no-such-lab") is False


@pytest.mark.parametrize(
    ("status", "text", "expected"),
    [
        (409, "removal of container 1f is already in progress", True),
        (409, "Conflict. The container name is already in use", False),
        (500, "context deadline exceeded", True),
        (503, "i/o timeout", True),
        (500, "driver failed: device or resource busy", True),
        (503, "rpc error: code = Unavailable desc = connection error", True),
        (500, "rpc error: code = Unknown desc = The swarm does not have a leader. It's possible that too few", True),
        (503, "This node is not a swarm manager. Worker nodes can't be used to view or modify cluster state.", False),
        (500, "OCI runtime create failed: no such file or directory", False),
        (404, "No such container, timeout", False),
    ],
)
def test_transient_errors_are_retried(status, text, expected):
    assert is_passing(answer(status, text)) is expected


def test_what_is_refused_for_now_is_undone_and_made_anew_even_if_one_try_takes_all_the_time(monkeypatch, caplog):
    caplog.set_level("INFO")
    monkeypatch.setattr(engine, "_PATIENCE_SECONDS", 0)
    done = []

    def make():
        done.append("make")
        if done.count("make") < 3:
            with refusals("anchor"):
                raise answer(500, "attaching to network failed: context deadline exceeded")
        return "made"

    assert engine.anew(make, lambda: done.append("undo")) == "made"
    assert done == ["make", "undo", "make", "undo", "make"]
    assert (
        "is asked again: docker-refused: anchor: attaching to network failed: context deadline exceeded" in caplog.text
    )


def test_other_errors_are_not_tried_again():
    assert not is_passing(OSError("timeout"))


def test_an_error_of_the_docker_engine_names_the_object_and_the_reason():
    with pytest.raises(LabError, match=r"^docker-refused: node a: no space left$"), refusals("node a"):
        raise answer(500, "no space left\n")


@given(st.lists(st.integers(), max_size=50))
def test_results_come_in_order(items):
    assert in_parallel(lambda item: item * 2, items) == [item * 2 for item in items]


def test_after_an_error_nothing_new_is_begun():
    begun = []
    failed = threading.Event()

    def work(item):
        begun.append(item)
        if item == 0:
            failed.set()
            raise LabError("broken", "broken")
        failed.wait()

    with pytest.raises(LabError, match="broken"):
        in_parallel(work, range(10_000))
    assert len(begun) < 10_000
