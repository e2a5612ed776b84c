import os
import signal
import threading

import pytest

from testbed.lab.labs import uninterrupted
from testbed.lab.observer import SILENT


class Ended(Exception):  # noqa: N818  # as a handler may raise it
    pass


def test_ctrl_c_is_raised_when_the_step_is_done():
    steps = []

    def step():
        with uninterrupted(SILENT):
            signal.raise_signal(signal.SIGINT)
            steps.append("still at it")
            signal.raise_signal(signal.SIGINT)
            steps.append("done")

    with pytest.raises(KeyboardInterrupt):
        step()
    assert steps == ["still at it", "done"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_ctrl_c_from_another_process_is_raised_when_the_step_is_done():
    done = threading.Event()

    def step():
        with uninterrupted(SILENT):
            os.kill(os.getpid(), signal.SIGINT)
            done.wait(0.05)
            done.set()

    with pytest.raises(KeyboardInterrupt):
        step()
    assert done.is_set()


def test_other_signals_go_to_their_handlers_when_the_step_is_done():
    def end(number, _frame):
        raise Ended(number)

    before = signal.signal(signal.SIGTERM, end)
    try:
        with pytest.raises(Ended, match=f"{signal.SIGTERM:d}"), uninterrupted(SILENT):
            signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_step_within_a_step_hands_the_signal_on():
    steps = []

    def step():
        with uninterrupted(SILENT):
            with uninterrupted(SILENT):
                signal.raise_signal(signal.SIGINT)
            steps.append("after the inner one")

    with pytest.raises(KeyboardInterrupt):
        step()
    assert steps == ["after the inner one"]


def test_without_a_signal_nothing_is_raised():
    with uninterrupted(SILENT):
        pass
    with pytest.raises(ValueError, match="own"), uninterrupted(SILENT):
        raise ValueError("own")
