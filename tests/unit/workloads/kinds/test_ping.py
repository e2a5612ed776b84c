from __future__ import annotations

import time
from typing import Any

import pytest

from testbed.endpoint.columns import decode
from testbed.endpoint.spec import Spec
from testbed.workloads.kinds.ping import traffic
from testbed.workloads.kinds.ping.traffic import checksum
from tests.unit.workloads.kinds.conftest import may_open_raw_sockets


def columns(lines: list[dict[str, Any]], event: str, name: str) -> list[int]:
    return [value for line in lines if line["event"] == event for value in decode(line[name])]


def test_the_checksum_of_rfc_1071():
    assert checksum(bytes.fromhex("0001f203f4f5f6f7")) == 0xFFFF - 0xDDF2  # the RFC's own example, section 3
    assert checksum(b"\x01") == checksum(b"\x01\x00")


class LateOwner:
    """Of a client that gets no processor for a minute once it has sent its requests, while they are answered."""

    start_ns = 0

    def __init__(self):
        self.has_sent = False
        self.late_ns = 0
        self.columns: dict[str, Any] = {}

    def now_ns(self) -> int:
        now = time.monotonic_ns() + self.late_ns
        if self.has_sent:
            time.sleep(0.1)
            self.late_ns = 60 * 10**9
        return now

    def check(self) -> None:
        pass

    def progress(self, fraction: float) -> None:
        self.has_sent = fraction > 0

    def emit_sent(self, sent_ns: object) -> None:
        pass

    def emit_columns(self, event: str, columns: dict[str, Any]) -> None:
        self.columns[event] = columns

    def emit(self, event: str, **fields: object) -> None:
        pass


@pytest.mark.skipif(not may_open_raw_sockets(), reason="needs CAP_NET_RAW")
def test_replies_that_came_while_the_client_got_no_processor_are_recorded(monkeypatch):
    owner: Any = LateOwner()
    monkeypatch.setattr(traffic, "monotonic_ns", owner.now_ns)
    parameters = {"count": 2, "interval_ns": 0, "size_bytes": 56}
    spec = Spec(kind="ping", role="client", address="127.0.0.1", port=0, seed=1, round_trip_ns=0, parameters=parameters)
    traffic.client(spec, owner)
    assert list(owner.columns["received"]["seq"]) == [0, 1]


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
