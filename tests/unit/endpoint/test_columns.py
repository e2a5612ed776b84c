from __future__ import annotations

import os
from array import array

import pytest

from testbed.endpoint.columns import Column, Spool, decode, encode

ROWS = 10_000


def test_a_column_is_encoded_as_the_first_value_and_differences():
    assert encode([1000, 1007, 1003]) == [1000, 7, -4]
    assert encode(array("q", [5])) == [5]
    assert encode([]) == []


def test_decoding_inverts_encoding():
    assert decode([1000, 7, -4]) == array("q", [1000, 1007, 1003])
    assert decode([]) == array("q")


def test_a_column_on_disk_is_read_by_its_rows():
    column = Column()
    assert list(column) == []
    column.extend(range(ROWS))
    column.extend(array("q", [-5]))
    assert len(column) == ROWS + 1
    assert [len(rows) for rows in column.parts()] == [ROWS, 1]
    assert list(column) == [*range(ROWS), -5]
    assert (column[1], column[ROWS]) == (1, -5)
    for outside in (-1, ROWS + 1):
        with pytest.raises(IndexError):
            column[outside]
    assert list(column.rows(ROWS - 1, ROWS + 5)) == [ROWS - 1, -5]
    assert list(column.rows(ROWS + 1, ROWS + 5)) == []


def test_a_spool_leaves_no_file(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    spool = Spool()
    spool.write(b"some")
    spool.write(bytearray(b"more"))
    assert (len(spool), spool.read(2, 6), list(tmp_path.iterdir())) == (8, b"memo", [])
    fd = spool._fd
    del spool
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)
