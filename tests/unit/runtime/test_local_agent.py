"""An agent that is a process of this machine: whoever asks one that does not answer, or another's, is told."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import threading
from typing import cast

import pytest

from testbed.agent import client, messages, protocol
from testbed.agent.client import Agent
from testbed.errors import LabError, UsageError
from testbed.runtime import launching, local_agent
from testbed.runtime.state import LabDirectory

pytestmark = pytest.mark.netns


@pytest.fixture
def agent(lab_name):
    yield local_agent.start("netns", lab_name, isolate=True)
    local_agent.stop("netns", lab_name)
    LabDirectory("netns", lab_name).remove()


def test_an_agent_starts_answers_and_ends(agent, lab_name):
    assert agent.hello().lab == lab_name
    assert not local_agent.connect("netns", lab_name).hello().is_up
    assert local_agent.stop("netns", lab_name)
    assert not local_agent.stop("netns", lab_name)
    with pytest.raises(LabError, match="agent-gone"):
        local_agent.connect("netns", lab_name)


def test_an_agent_started_ahead_is_the_labs_and_is_found(lab_name):
    with launching.ahead():
        (waiting,) = launching._waiting
        assert local_agent.start("netns", lab_name, isolate=True).hello().lab == lab_name
        assert not launching._waiting
    assert waiting.returncode == 0  # it has left the work to its child
    assert local_agent.connect("netns", lab_name).hello()
    assert local_agent.stop("netns", lab_name)
    LabDirectory("netns", lab_name).remove()


def test_an_agent_started_ahead_for_nothing_ends_with_the_context():
    with launching.ahead():
        (waiting,) = launching._waiting
    assert waiting.returncode == -signal.SIGKILL
    assert not launching._waiting


def test_an_agent_started_ahead_ends_when_its_maker_is_killed():
    script = (
        "import os; from testbed.runtime import launching\n"
        "with launching.ahead():\n"
        "    print(launching._waiting[0].pid, flush=True); os.kill(os.getpid(), 9)"
    )
    made = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert made.returncode == -signal.SIGKILL
    try:
        agent = os.pidfd_open(int(made.stdout))
    except ProcessLookupError:
        return
    ended = select.poll()
    ended.register(agent, select.POLLIN)
    assert ended.poll(30_000)
    os.close(agent)


def test_an_agent_that_cannot_even_start_says_why(lab_name, monkeypatch):
    monkeypatch.setenv("PYTHONHOME", "/nowhere")
    with pytest.raises(LabError, match=r"agent-failed.*it said: (?!nothing)"):
        local_agent.start("netns", lab_name, isolate=True)
    LabDirectory("netns", lab_name).remove()


def test_an_agent_that_starts_slowly_is_waited_for_and_the_log_says_so(lab_name, monkeypatch, caplog):
    monkeypatch.setattr(local_agent, "_SAY_SECONDS", 0.5)
    with launching.ahead():
        (waiting,) = launching._waiting
        os.kill(waiting.pid, signal.SIGSTOP)
        go_on = threading.Timer(2, os.kill, (waiting.pid, signal.SIGCONT))
        go_on.start()
        assert local_agent.start("netns", lab_name, isolate=True).hello().lab == lab_name
        go_on.join()
    assert "the agent has been starting for" in caplog.text
    assert local_agent.stop("netns", lab_name)
    LabDirectory("netns", lab_name).remove()


def test_an_agent_that_is_killed_while_it_starts_is_not_waited_for(lab_name):
    with launching.ahead():
        launching._waiting[0].kill()
        with pytest.raises(LabError, match=r"agent-failed.*it said: nothing"):
            local_agent.start("netns", lab_name, isolate=True)
    LabDirectory("netns", lab_name).remove()


def test_there_is_no_such_lab(lab_name):
    with pytest.raises(UsageError, match="no-such-lab"):
        local_agent.connect("netns", lab_name)
    assert not local_agent.stop("netns", lab_name)


def test_a_stopped_agent_counts_as_stuck_and_is_ended(agent, lab_name, monkeypatch):
    monkeypatch.setattr(client, "_HELLO_SECONDS", 0.2)
    for pid in local_agent._pids(LabDirectory("netns", lab_name).agent_name):
        os.kill(pid, signal.SIGSTOP)
    with pytest.raises(LabError, match="agent-stuck"):
        local_agent.connect("netns", lab_name)
    assert local_agent.stop("netns", lab_name)


def test_an_agent_that_is_held_up_for_seconds_is_waited_for_unless_in_a_hurry(agent, lab_name):
    """As in a guest whose only processor had other work: there a watch of nodes called it stuck after 5 s."""
    pids = local_agent._pids(LabDirectory("netns", lab_name).agent_name)
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)

    def let_go_on():
        for pid in pids:
            os.kill(pid, signal.SIGCONT)

    go_on = threading.Timer(client.HURRIED_SECONDS + 1, let_go_on)
    go_on.start()
    try:
        with pytest.raises(LabError, match="agent-stuck"):
            local_agent.connect("netns", lab_name, 0.1)
        assert local_agent.status("netns", lab_name).lab == lab_name
    finally:
        go_on.join()


def test_no_call_waits_for_a_stopped_agent_for_ever(agent, lab_name, monkeypatch):
    monkeypatch.setattr(client, "_SILENCE_SECONDS", 0.2)
    monkeypatch.setattr(client, "_HELLO_SECONDS", 0.2)
    for pid in local_agent._pids(LabDirectory("netns", lab_name).agent_name):
        os.kill(pid, signal.SIGSTOP)
    with pytest.raises(LabError, match="agent-stuck"):
        agent.call(messages.Statistics())
    assert local_agent.stop("netns", lab_name)


class Dance(messages.Call[None], frozen=True):
    """A call that no agent knows."""


def test_errors_keep_their_kind_and_the_agent_goes_on(agent):
    with pytest.raises(LabError, match="unknown-call"):
        agent.call(Dance())
    with pytest.raises(UsageError, match="unknown-node"):
        agent.call(messages.Accepts(node="nobody", address="198.18.0.1", port=1))
    with pytest.raises(LabError, match=r"bad-message: accepts: port: expected `int`, got `str`"):
        agent.call(messages.Accepts(node="client", address="198.18.0.1", port=cast("int", "http")))
    assert agent.hello()


def test_an_agent_of_another_version(tmp_path):
    """As after an upgrade, with labs still up."""
    path = tmp_path / "agent.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def answer():
            channel, _ = listener.accept()
            with channel:
                channel.recv(1 << 16)
                channel.sendall(protocol.encode(protocol.Message(result={"version": protocol.VERSION - 1})))

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(LabError, match="agent-differs"):
            Agent.at(path).hello()
        thread.join()
