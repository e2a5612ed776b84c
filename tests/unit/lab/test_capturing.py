from __future__ import annotations

import pytest

from testbed.errors import LabError, UsageError
from testbed.lab.capturing import AttachmentName, Capturing

PORTS = AttachmentName(node="client", network="net"), AttachmentName(node="server", network="net")


@pytest.fixture
def refusing():
    """An agent that can't capture."""

    class Refusing:
        def capture(self, *_, **__):
            raise LabError("capture-failed", "no memory for the ring")

    return Refusing()


def test_where_no_capture_begins_no_file_is_left(tmp_path, refusing):
    files = {port: tmp_path / port.file for port in PORTS}
    with (
        pytest.raises(LabError, match="no memory"),
        Capturing(refusing, files, snap_bytes=256, size_bytes=10**6),
    ):
        pytest.fail("nothing is captured")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_not_ours_to_write_stays(tmp_path, refusing):
    there = tmp_path / "directory"
    there.mkdir()
    files = dict(zip(PORTS, (tmp_path / "client.pcap", there), strict=True))
    with pytest.raises(LabError), Capturing(refusing, files, snap_bytes=256, size_bytes=10**6):
        pytest.fail("nothing is captured")
    with (
        pytest.raises(UsageError, match="file-refused"),
        Capturing(refusing, {PORTS[0]: there}, snap_bytes=256, size_bytes=10**6),
    ):
        pytest.fail("nothing is captured")
    assert list(tmp_path.iterdir()) == [there]
