from __future__ import annotations

import pytest
from h2.errors import ErrorCodes

from testbed.endpoint.pattern import pattern
from tests.unit.workloads.kinds.http.conftest import columns


def test_all_requests_share_a_connection(request_all, server2):
    server2.together = 5  # no answer before
    status, lines = request_all(server2.port, version="2", concurrency=5)
    assert (status, lines[-1]["event"]) == (0, "end")
    assert columns(lines, "received", "seq") == list(range(20))
    assert columns(lines, "responses", "bytes") == [5] * 20
    assert len(columns(lines, "connections", "begun_ns")) == server2.connections == 1
    assert (lines[-1]["protocol"], lines[-1]["server"]) == ("HTTP/2", "two")


def test_a_connection_for_each_request(request_all, server2):
    status, lines = request_all(server2.port, version="2", concurrency=5, connect="each")
    assert status == 0
    assert columns(lines, "received", "seq") == list(range(20))
    assert server2.connections == 20


def test_no_more_are_under_way_than_the_server_allows(request_all, server2):
    server2.most = 2  # more would be an error of the protocol's, once the client has acknowledged that
    status, lines = request_all(server2.port, version="2", concurrency=20, count=200)
    assert status == 0
    assert columns(lines, "received", "seq") == list(range(200))
    assert server2.connections == 1


def test_after_goaway_requests_go_on_on_another_connection(request_all, server2):
    server2.last = 10
    status, lines = request_all(server2.port, version="2", concurrency=4)
    assert status == 0
    assert columns(lines, "received", "seq") == list(range(20))
    assert server2.connections == 2


def test_requests_that_wait_for_a_stream_do_not_wait_on_a_connection_that_has_ended(request_all, server2):
    server2.most, server2.last = 2, 10
    status, lines = request_all(server2.port, version="2", concurrency=20, count=60)
    assert status == 0
    assert len(columns(lines, "received", "seq")) + sum(len(columns([line], "failed", "seq")) for line in lines) == 60


def test_a_status_that_is_no_number_is_the_servers_fault(request_all, server2):
    server2.status = "fine"
    status, lines = request_all(server2.port, version="2")
    assert (status, lines[-1]["code"]) == (1, "protocol-error")


@pytest.mark.parametrize(("code", "answered"), [(ErrorCodes.INTERNAL_ERROR, 19), (ErrorCodes.REFUSED_STREAM, 20)])
def test_a_stream_that_is_reset_fails_alone_and_one_refused_is_tried_again(request_all, server2, code, answered):
    server2.resets = {3: code}
    status, lines = request_all(server2.port, version="2", concurrency=4)
    assert status == 0
    assert [line["code"] for line in lines if line["event"] == "failed"] == ["stream-reset"] * (20 - answered)
    assert len(columns(lines, "received", "seq")) == answered
    assert server2.connections == 1


@pytest.mark.parametrize("tls", [False, True])
def test_a_server_without_http2_is_refused_with_the_reason(request_all, server, contexts, tls):
    server.contexts = contexts[:1] if tls else []
    status, lines = request_all(server.server_port, version="2", tls=tls)
    assert (status, lines[-1]["code"]) == (1, "http-version-refused")
    assert ("ALPN" if tls else "h2c") in lines[-1]["message"]


@pytest.mark.parametrize("window", [1000, 65535])
def test_a_body_is_sent_as_the_server_s_window_allows(request_all, server2, window):
    server2.window = window
    status, lines = request_all(server2.port, version="2", method="POST", body_bytes=200_000, count=6, concurrency=3)
    assert status == 0, lines[-1]
    assert columns(lines, "received", "seq") == list(range(6))
    assert lines[-1]["sent_bytes"] == 6 * 200_000
    assert server2.requests == [(b"POST", pattern(7, 200_000))] * 6


def test_an_answer_before_the_body_is_whole_ends_it(request_all, server2):
    server2.window, server2.early = 1000, True
    status, lines = request_all(server2.port, version="2", method="POST", body_bytes=200_000, count=2)
    assert status == 0, lines[-1]
    assert columns(lines, "responses", "status") == [200, 200]
    assert lines[-1]["sent_bytes"] < 200_000


def test_after_goaway_a_post_that_may_have_been_acted_on_is_not_sent_again(request_all, server2):
    server2.last = 10
    status, lines = request_all(server2.port, version="2", concurrency=1, method="POST", body_bytes=10)
    assert status == 0
    answered = columns(lines, "received", "seq")
    failed = sum(len(columns([line], "failed", "seq")) for line in lines)
    assert len(answered) + failed == 20
    assert len(server2.requests) <= 20
