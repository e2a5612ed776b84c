"""Logs of nodes: their ends are kept, on the disk and in memory, and what is gone is said."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from testbed.agent import node_logs

LINE = b"%09d some line of a program that writes too much\n"
LINES = 1_000_000


@pytest.fixture(params=["disk", "memory"])
def log(request, tmp_path):
    """The log of a node in a directory of that kind."""
    if request.param == "memory" and not os.access("/dev/shm", os.W_OK):
        pytest.skip("no file system in memory")
    directory = Path("/dev/shm") if request.param == "memory" else tmp_path
    path = node_logs.path_of(directory, f"test-{os.getpid()}")
    path.touch()
    yield path
    path.unlink()


def read(path):
    return b"".join(node_logs.pieces(path, lambda: True))


def test_the_end_of_a_long_log_is_kept_and_the_rest_takes_no_space(log):
    lines = [LINE % number for number in range(LINES)]
    with log.open("ab", buffering=0) as program:
        for start in range(0, LINES, 10_000):
            program.write(b"".join(lines[start : start + 10_000]))
            node_logs.shorten(log)
        assert log.stat().st_blocks * 512 < 40 << 20
        first, _, kept = read(log).partition(b"\n")
        assert first.startswith(b"testbed: ")
        assert first.endswith(b" bytes of this log are gone: only its end is kept")
        assert node_logs.KEPT_BYTES - 100 <= len(kept) < 40 << 20
        assert b"".join(lines).endswith(b"\n" + kept)
        program.write(b"and goes on\n")
        assert read(log).endswith(b"\nand goes on\n")


def test_a_log_that_is_followed_goes_on_after_what_was_lost_meanwhile(log):
    with log.open("ab", buffering=0) as program:
        program.write(b"first\n")
        over = iter([False, True])
        followed = node_logs.pieces(log, lambda: next(over))
        assert next(followed) == b"first\n"
        program.write(b"".join(LINE % number for number in range(LINES)))
        node_logs.shorten(log)
        said, *_, last = followed
        assert b"bytes of this log are gone" in said
        assert last.endswith(LINE % (LINES - 1))


def test_short_logs_stay_whole_and_a_node_without_one_has_nothing_to_say(log):
    with log.open("ab") as program:
        program.write(b"one\ntwo\n")
    node_logs.shorten(log)
    assert read(log) == b"one\ntwo\n"
    assert read(log.with_name("none.log")) == b""


def test_a_log_that_can_not_be_kept_short_keeps_no_other_from_it(log):
    """As one that has been deleted."""

    async def kept_short():
        keeping = asyncio.create_task(node_logs.keep_short([log.with_name("deleted.log"), log]))
        with log.open("ab", buffering=0) as program:
            program.write(b"".join(LINE % number for number in range(LINES)))
            while log.stat().st_blocks * 512 > 40 << 20:
                await asyncio.sleep(0.01)
                assert not keeping.done()
        keeping.cancel()

    asyncio.run(asyncio.wait_for(kept_short(), 60))
