"""A pty in raw mode between the caller's terminal and a program that runs in a node."""

from __future__ import annotations

import fcntl
import os
import selectors
import signal
import termios
import threading
import tty
from contextlib import suppress
from pty import openpty
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable

_CHUNK = 1 << 14
_SIZE_BYTES = 8


class Pty:
    """A pty whose size follows the caller's terminal. `slave` is the end for the program."""

    def __init__(self) -> None:
        self._master, self.slave = openpty()
        self._saved = termios.tcgetattr(0)

    def __enter__(self) -> Self:
        self._resize()
        self._resized = signal.signal(signal.SIGWINCH, lambda *_: self._resize())
        tty.setraw(0)
        return self

    def __exit__(self, *_: object) -> None:
        termios.tcsetattr(0, termios.TCSADRAIN, self._saved)
        signal.signal(signal.SIGWINCH, self._resized)
        os.close(self._master)
        self._close_slave()

    def run(self, wait: Callable[[], object]) -> None:
        """Copy in both directions until `wait` returns (the program has ended) and all of its output is copied."""
        self._close_slave()  # the program has it; the master tells its end once nobody else holds it
        waiter = threading.Thread(target=wait, daemon=True)
        waiter.start()
        with selectors.DefaultSelector() as selector:
            selector.register(0, selectors.EVENT_READ)
            selector.register(self._master, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select():
                    source, target = (0, self._master) if key.fd == 0 else (self._master, 1)
                    try:
                        data = os.read(source, _CHUNK)
                    except OSError:  # EIO: the last one who held the slave has closed it
                        data = b""
                    if not data:
                        waiter.join()
                        return
                    os.write(target, data)

    def _close_slave(self) -> None:
        if self.slave >= 0:
            os.close(self.slave)
            self.slave = -1

    def _resize(self) -> None:
        with suppress(OSError):
            size = fcntl.ioctl(0, termios.TIOCGWINSZ, b"\0" * _SIZE_BYTES)
            fcntl.ioctl(self._master, termios.TIOCSWINSZ, size)
