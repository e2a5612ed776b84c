"""Archives of nodes, whatever the node's tar makes of them."""

from __future__ import annotations

import io
import tarfile

import pytest

from testbed.errors import LabError
from testbed.lab import files


def test_what_is_no_archive_is_an_error_of_the_node(tmp_path):
    with pytest.raises(LabError, match="unsafe-archive: what the node sent is no tar archive"):
        files.unpack(io.BytesIO(b"tar: command not found\n" * 100), tmp_path / "into")
    assert not list(tmp_path.iterdir())


def test_a_directory_is_written_with_what_is_in_it(tmp_path):
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for name in ("conf", "conf/sub", "."):  # the last one has no name
            entry = tarfile.TarInfo(name)
            entry.type = tarfile.DIRTYPE
            tar.addfile(entry)
        entry = tarfile.TarInfo("conf/sub/file")
        entry.size, entry.mode = 3, 0o4755
        tar.addfile(entry, io.BytesIO(b"abc"))
    archive.seek(0)
    files.unpack(archive, tmp_path / "into")
    written = tmp_path / "into/sub/file"
    assert written.read_bytes() == b"abc"
    assert written.stat().st_mode & 0o7777 == 0o755
