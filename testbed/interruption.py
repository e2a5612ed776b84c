"""When signals that ask the process to end may interrupt it: never between making something and seeing to its removal.

Python raises KeyboardInterrupt between any two instructions, so also after a lab is up and before the `try` whose
`finally` takes it down. `deferred` keeps signals until they may interrupt again, and `delivered` is a block within it
where they may:

    with deferred(), ExitStack() as stack, delivered():
        with deferred():
            lab = Lab.up("lossy")  # is interruptible inside, and undoes itself then
            stack.callback(lab.down)
        lab.run()

Only the main thread receives signals, so that in another thread both do nothing.
"""

from __future__ import annotations

import signal
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Those that ask a process to end."""

_handlers: dict[int, Any] = {}
"""The handlers that ours stand for, by signal."""

_came: list[int] = []
"""The signals that were kept."""

_blocks: list[_Block] = []
"""The contexts that the main thread is in, the innermost last."""


class _Block:
    """A context in which signals are kept, or delivered. No generator: contextlib's can be interrupted on entry."""

    def __init__(self, *, delivers: bool, told: Callable[[], None] | None = None) -> None:
        self.delivers = delivers
        self.told = told
        self._depth: int | None = None

    def __enter__(self) -> None:
        if threading.current_thread() is not threading.main_thread() or (self.delivers and not _blocks):
            return
        self._depth = len(_blocks)
        try:
            if not _blocks:
                _take_over()
            _blocks.append(self)
            _deliver()
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *_: object) -> None:
        if self._depth is None:
            return
        del _blocks[self._depth :]
        if not _blocks:
            _give_back()
        _deliver()


def deferred(told: Callable[[], None] | None = None) -> _Block:
    """Return a context that keeps signals, and delivers the first of them when it is left.

    Args:
        told: called in the signal's handler when one is kept, to show that it was noticed.

    Raises:
        KeyboardInterrupt: Ctrl-C was pressed; for other signals, what their handlers raise.
    """
    return _Block(delivers=False, told=told)


def delivered() -> _Block:
    """Return a context in which signals interrupt, within one that keeps them; the kept ones do so at once.

    Raises:
        KeyboardInterrupt: Ctrl-C was pressed; for other signals, what their handlers raise.
    """
    return _Block(delivers=True)


def ignore() -> None:
    """Ignore the signals from now on, also those that were kept."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _take_over() -> None:
    for number in SIGNALS:
        handler = signal.getsignal(number)
        if handler not in (_handle, signal.SIG_IGN, None):  # None: Python did not set it, and can't restore it
            _handlers[number] = handler
            signal.signal(number, _handle)


def _give_back() -> None:
    """Restore the handlers, where nobody has set another one meanwhile."""
    for number, handler in _handlers.items():
        if signal.getsignal(number) is _handle:
            signal.signal(number, handler)


def _deliver() -> None:
    if _came and (not _blocks or _blocks[-1].delivers):
        number = _came[0]
        _came.clear()
        signal.raise_signal(number)


def _handle(number: int, frame: FrameType | None) -> None:
    if not _blocks or _blocks[-1].delivers:
        handler = _handlers.get(number, signal.SIG_DFL)
        if callable(handler):
            handler(number, frame)
        else:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        return
    _came.append(number)
    if told := _blocks[-1].told:
        with suppress(RuntimeError):  # it interrupted somebody who was writing to the same stream
            told()
