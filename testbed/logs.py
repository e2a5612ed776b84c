"""Log records: where they go, and how they look.

Every module that acts logs to `logging.getLogger(__name__)`: at INFO what takes time, with how long it took, and what
was decided; at DEBUG the rest. An endpoint process does not log: what it does is in the lines that it writes, and
`testbed.workloads.running` logs these.
"""

from __future__ import annotations

import logging
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

logging.getLogger("testbed").addHandler(logging.NullHandler())  # nothing is written unless somebody asks for it

_FORMAT = "%(asctime)s.%(msecs)03d %(levelname)-7s %(name)s: %(message)s"
_LIBRARY_LEVEL = logging.WARNING
_NANOSECONDS = 1e-9


def configure(level: int) -> None:
    """Write log records of this package to standard error; those of libraries from warnings on.

    Args:
        level: the least one of our own that is written, such as `logging.INFO`.
    """
    logging.basicConfig(format=_FORMAT, datefmt="%H:%M:%S", level=_LIBRARY_LEVEL)
    logging.getLogger("testbed").setLevel(level)


def debugging() -> bool:
    """Whether debug records of this package are written."""
    return logging.getLogger("testbed").isEnabledFor(logging.DEBUG)


@contextmanager
def timed(logger: logging.Logger, what: str, *, level: int = logging.INFO) -> Iterator[None]:
    """Log a step when it has ended, with how long it took, or how it failed.

    Args:
        logger: of the module that acts.
        what: the step, `create networks`.
        level: of the record of a step that succeeds; one that fails is logged as a warning.
    """
    begun = time.monotonic_ns()
    try:
        yield
    except BaseException as error:
        logger.warning("%s failed after %.3f s: %r", what, _seconds_since(begun), error)
        raise
    logger.log(level, "%s took %.3f s", what, _seconds_since(begun))


def _seconds_since(begun_ns: int) -> float:
    return (time.monotonic_ns() - begun_ns) * _NANOSECONDS
