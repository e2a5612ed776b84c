"""Whatever is put into a spool, the newest blocks of it are kept, in order, as many as have room."""

import tempfile

from hypothesis import given
from hypothesis import strategies as st

from testbed.agent.capture.spool import PacketSpool

LIMIT = 100


@given(st.lists(st.integers(1, LIMIT), max_size=60))
def test_the_newest_are_kept(sizes):
    blocks = [bytes([number % 256]) * size for number, size in enumerate(sizes)]
    with tempfile.TemporaryFile(buffering=0) as file:
        spool = PacketSpool(file.fileno(), LIMIT)
        for number, block in enumerate(blocks, 1):
            spool.put(memoryview(block), number)
            kept = list(spool)
            assert kept
            assert kept == blocks[number - len(kept) : number]
        assert file.seek(0, 2) <= LIMIT
        assert spool.packets + spool.overwritten == sum(range(len(blocks) + 1))


@given(st.lists(st.integers(1, 10), min_size=1, max_size=60))
def test_little_room_is_wasted(sizes):
    with tempfile.TemporaryFile(buffering=0) as file:
        spool = PacketSpool(file.fileno(), LIMIT)
        for size in sizes:
            spool.put(memoryview(bytes(size)), 1)
        # What may be lost: the rest of the file behind the last block, and of the oldest block that had to go.
        assert sum(map(len, spool)) >= min(sum(sizes), LIMIT - 20)
        assert bool(spool.overwritten) == (len(list(spool)) < len(sizes))
