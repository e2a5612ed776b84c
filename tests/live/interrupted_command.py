"""`python -m tests.live.interrupted_command SIGNAL FUNCTION ARGV...`: a command that a signal hits at a given moment.

The process sends itself the signal when a function of the package first returns, by its qualified name. The kernel can
deliver a signal at any moment, but hardly ever hits these; Python runs its handler just where this does.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import testbed
from testbed.cli import main

_PACKAGE = str(Path(testbed.__file__).parent)


def trace(frame, _event, _argument):
    """Trace the calls of the package's functions (`sys.settrace`)."""
    return _watch if frame.f_code.co_filename.startswith(_PACKAGE) and frame.f_code.co_qualname == wanted else None


def _watch(_frame, event, _argument):
    if event == "return":
        sys.settrace(None)
        os.kill(os.getpid(), number)
    return _watch


if __name__ == "__main__":
    number, wanted = int(sys.argv[1]), sys.argv[2]
    sys.argv[1:] = sys.argv[3:]
    signal.signal(signal.SIGINT, signal.default_int_handler)  # background jobs of a shell ignore it
    sys.settrace(trace)
    main()
