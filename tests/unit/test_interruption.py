import signal
import threading
from contextlib import ExitStack

import pytest

from testbed import interruption
from testbed.interruption import deferred, delivered


@pytest.fixture(autouse=True)
def handlers():
    """Those of an ordinary program, and the same afterwards."""
    before = {number: signal.getsignal(number) for number in interruption.SIGNALS}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    mine = {number: signal.getsignal(number) for number in interruption.SIGNALS}
    yield
    assert {number: signal.getsignal(number) for number in interruption.SIGNALS} == mine
    for number, handler in before.items():
        signal.signal(number, handler)


def test_a_signal_is_kept_until_the_block_is_left():
    done, noticed = [], []

    def work():
        with deferred(lambda: noticed.append(1)):
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
            done.append("all")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert (done, noticed) == (["all"], [1, 1])


def test_it_interrupts_where_signals_are_delivered():
    done = []

    def work():
        with deferred():
            try:
                with delivered():
                    signal.raise_signal(signal.SIGINT)
                    done.append("too much")
            finally:
                signal.raise_signal(signal.SIGINT)
                done.append("clean")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done == ["clean"]


def test_a_kept_signal_is_delivered_when_delivery_begins():
    done = []

    def work():
        with deferred():
            signal.raise_signal(signal.SIGINT)
            with delivered():
                done.append("too much")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done == []
    with deferred():  # nothing of it is left
        pass


def test_what_is_made_in_a_deferred_block_is_removed():
    removed: list[str] = []

    def work():
        with deferred(), ExitStack() as stack, delivered():
            with deferred():
                signal.raise_signal(signal.SIGINT)
                stack.callback(removed.append, "lab")
            removed.append("too late")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert removed == ["lab"]


def test_an_error_goes_through_and_the_signal_comes_after():
    def work():
        with deferred():
            signal.raise_signal(signal.SIGINT)
            raise ValueError

    with pytest.raises(KeyboardInterrupt) as caught:
        work()
    assert isinstance(caught.value.__context__, ValueError)


def test_the_handlers_that_were_there_are_called():
    came = []
    before = signal.signal(signal.SIGTERM, lambda number, _: came.append(number))
    with deferred():
        signal.raise_signal(signal.SIGTERM)
        assert came == []
        with delivered():
            assert came == [signal.SIGTERM]
            signal.raise_signal(signal.SIGTERM)
    assert came == [signal.SIGTERM] * 2
    signal.signal(signal.SIGTERM, before)


def test_an_ignored_signal_stays_ignored():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with deferred(), delivered():
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    signal.signal(signal.SIGINT, signal.default_int_handler)


def test_from_a_moment_on_all_are_ignored():
    before = {number: signal.getsignal(number) for number in interruption.SIGNALS}
    with deferred():
        signal.raise_signal(signal.SIGINT)
        interruption.ignore()
    signal.raise_signal(signal.SIGTERM)
    for number, handler in before.items():
        signal.signal(number, handler)


def test_delivered_alone_and_other_threads_change_nothing():
    def alone():
        with delivered():
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        alone()
    found = []

    def look():
        with deferred():
            found.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert found == [signal.default_int_handler]
