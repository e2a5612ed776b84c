"""`python -m testbed` and the program `testbed`: the command line."""

import gc
import signal

_OBJECTS_PER_COLLECTION = 50_000
"""Instead of 700: what is imported stays, and to look for garbage in it again and again takes a sixth of a command."""


def main() -> None:
    """Run the command line. Ctrl-C while it is imported ends the process at once, without a traceback."""
    gc.set_threshold(_OBJECTS_PER_COLLECTION)
    interruptible = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if interruptible:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from testbed import cli  # noqa: PLC0415  # it takes a while

    if interruptible:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    cli.main()


if __name__ == "__main__":
    main()
