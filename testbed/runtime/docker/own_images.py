"""Builds the testbed's own images, from a checkout or from the installed package.

The recipes are in `testbed/images`, a link to the checkout's `images/`. The script `images/build` wants what a checkout
has: `images/`, `testbed/` and `topologies/`. An installed package has no such directory, so one is made below the
user's cache, where it also keeps the wheels that the script fetches.
"""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import testbed
from testbed import __version__
from testbed.errors import MachineError
from testbed.runtime.docker import builds
from testbed.runtime.docker.engine import DockerEngine

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from docker import APIClient

_log = logging.getLogger(__name__)

_PACKAGE = Path(testbed.__file__).parent


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnImage:
    """An image of the testbed's own.

    Attributes:
        image: its name, with the testbed's version as its tag.
        id: `sha256:...`.
        size_bytes: of its files.
    """

    image: str
    id: str
    size_bytes: int


def build(names: Sequence[str] = (), *, to_stderr: bool = False) -> list[OwnImage]:
    """Build the images of these names, or all; print what is built. Images that are up to date are not built again.

    Args:
        names: `testbed`, `controller`, or a server's folder in `images/`, as `nginx`.
        to_stderr: print to standard error.

    Returns:
        The images, in the order of the names.

    Raises:
        MachineError: `images-not-built`; the script has printed the reason and what to do.
    """
    environment = os.environ | {"PYTHON": sys.executable}
    output = sys.stderr if to_stderr else None
    with _alone():
        # Files of a wheel are not executable.
        argv = ["bash", str(source_directory() / "images" / "build"), *names]
        if subprocess.run(argv, env=environment, check=False, stdout=output).returncode != 0:
            raise MachineError("images-not-built", "the images could not be built", "the reason is printed above")
    api = DockerEngine().api
    return [_described(api, name) for name in names or ("testbed", "controller", *servers())]


def servers() -> list[str]:
    """Return the names by which `build` knows the servers that topologies use."""
    return sorted(recipe.parent.name for recipe in (_PACKAGE / "images").glob("*/Dockerfile"))


def missing_servers() -> list[str]:
    """Return those of `servers` whose image the Docker Engine lacks."""
    engine = DockerEngine()
    return [name for name in servers() if not builds.is_present(engine, f"testbed-{name}:latest")]


def _described(api: APIClient, name: str) -> OwnImage:
    image = f"{name if name == 'testbed' else f'testbed-{name}'}:{__version__}"
    described = api.inspect_image(image)  # type: ignore[no-untyped-call]
    return OwnImage(image=image, id=described["Id"], size_bytes=described["Size"])


def source_directory() -> Path:
    """Return a directory with what the images are built from: the checkout, or a copy of the installed package."""
    checkout = (_PACKAGE / "images").resolve().parent
    if (checkout / "pyproject.toml").exists():
        return checkout
    return _copied(_cache() / f"images-{__version__}")


@contextmanager
def _alone() -> Iterator[None]:
    """Wait until no other command of this user builds: they share a directory, which each lays out anew."""
    place = _cache() / "images.lock"
    place.parent.mkdir(parents=True, exist_ok=True)
    lock = os.open(place, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _log.info("another command builds images: waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "testbed"


def _copied(directory: Path) -> Path:
    """Lay the installed package out as a checkout, and keep the wheels that are there already."""
    own = shutil.ignore_patterns("__pycache__", "images", "topologies")
    shutil.rmtree(directory / "testbed", ignore_errors=True)
    shutil.copytree(_PACKAGE, directory / "testbed", ignore=own)
    for name in ("images", "topologies"):
        shutil.copytree(_PACKAGE / name, directory / name, dirs_exist_ok=True)
    (directory / "images" / "wheels").mkdir(exist_ok=True)
    return directory
