"""`python -m testbed` and the program `testbed`: the command line."""

import atexit
import gc
import os
import signal

_OBJECTS_PER_COLLECTION = 200_000
"""Instead of 700. What is imported is no garbage: to look for some among its 100,000 objects takes 10 ms each time, at
the end of the process 45 ms."""


def main() -> None:
    """Run the command line. Ctrl-C while it is imported ends the process at once, without a traceback."""
    gc.set_threshold(_OBJECTS_PER_COLLECTION)
    atexit.register(gc.freeze)
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")  # to look for them takes 15 ms; there are none for us
    interruptible = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if interruptible:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from testbed import cli  # noqa: PLC0415  # it takes a while

    if interruptible:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    cli.main()


if __name__ == "__main__":
    main()
