from __future__ import annotations

from typing import Any

import pytest

from testbed.endpoint.columns import decode
from testbed.workloads.kinds.ping.traffic import checksum
from tests.unit.workloads.kinds.conftest import may_open_raw_sockets


def columns(lines: list[dict[str, Any]], event: str, name: str) -> list[int]:
    return [value for line in lines if line["event"] == event for value in decode(line[name])]


def test_the_checksum_of_rfc_1071():
    assert checksum(bytes.fromhex("0001f203f4f5f6f7")) == 0xFFFF - 0xDDF2  # the RFC's own example, section 3
    assert checksum(b"\x01") == checksum(b"\x01\x00")


@pytest.mark.skipif(not may_open_raw_sockets(), reason="needs CAP_NET_RAW")
@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("size", [0, 56, 1401])
def test_the_kernel_answers(start, size, address):
    status, lines = start("ping", "client", count=5, interval_ns=20_000_000, size_bytes=size, address=address).end()
    assert (status, lines[-1]["event"]) == (0, "end")
    sent, received = columns(lines, "sent", "sent_ns"), columns(lines, "received", "received_ns")
    assert columns(lines, "received", "seq") == [0, 1, 2, 3, 4]
    assert all(before < after for before, after in zip(sent, received, strict=True))
    assert all(at >= lines[-1]["start_ns"] + number * 20_000_000 - 1_000_000 for number, at in enumerate(sent))
