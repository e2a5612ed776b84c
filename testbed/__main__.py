"""`python -m testbed` and the program `testbed`: the command line."""

import atexit
import gc
import os
import signal
import sys

_OBJECTS_PER_COLLECTION = 200_000
"""Instead of 700. What is imported is no garbage: to look for some among its 100,000 objects takes 10 ms each time."""


def main() -> None:
    """Run the command line. Ctrl-C while it is imported ends the process at once, without a traceback."""
    gc.set_threshold(_OBJECTS_PER_COLLECTION)
    statuses: list[int] = []
    atexit.register(_leave, statuses)  # before all others, so that it is called after them
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")  # to look for them takes 15 ms; there are none for us
    interruptible = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if interruptible:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from testbed import cli  # noqa: PLC0415  # it takes a while

    if interruptible:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        cli.main()
    except SystemExit as end:
        if isinstance(end.code, int):
            statuses.append(end.code)
        raise


def _leave(statuses: list[int]) -> None:
    """End the process with the status of its command, if there is one, before Python takes all its objects apart.

    That takes 10 to 45 ms, for nothing, and threads that still run may use what is gone.
    """
    for status in statuses:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        except (OSError, ValueError, AttributeError):
            return  # Python finds the same, and says so
        os._exit(status)


if __name__ == "__main__":
    main()
