from __future__ import annotations

import struct

from testbed.linux.tcp_info import parse, parse_congestion


def test_each_field_is_read_from_its_own_place():
    raw = bytearray(232)
    struct.pack_into("=B", raw, 7, 0x07)  # app_limited, and the two bits of tcpi_fastopen_client_fail
    struct.pack_into("=I", raw, 28, 5)  # tcpi_sacked
    struct.pack_into("=I", raw, 68, 40_000)  # tcpi_rtt, us
    struct.pack_into("=I", raw, 80, 12)  # tcpi_snd_cwnd
    struct.pack_into("=I", raw, 100, 3)  # tcpi_total_retrans
    struct.pack_into("=Q", raw, 104, (1 << 64) - 1)  # tcpi_pacing_rate: unlimited
    struct.pack_into("=I", raw, 148, 39_000)  # tcpi_min_rtt, us
    struct.pack_into("=Q", raw, 160, 125_000)  # tcpi_delivery_rate
    struct.pack_into("=I", raw, 196, 7)  # tcpi_delivered_ce
    struct.pack_into("=Q", raw, 208, 4000)  # tcpi_bytes_retrans
    struct.pack_into("=I", raw, 220, 2)  # tcpi_reord_seen
    found = {name: value for name, value in parse(bytes(raw)).items() if value}
    assert found == {
        "app_limited": 1,
        "sacked": 5,
        "rtt_ns": 40_000_000,
        "cwnd": 12,
        "retransmits": 3,
        "pacing_rate": (1 << 63) - 1,
        "min_rtt_ns": 39_000_000,
        "delivery_rate": 125_000,
        "delivered_ce": 7,
        "bytes_retrans": 4000,
        "reord_seen": 2,
    }


def test_the_shorter_struct_of_an_old_kernel_has_fewer_fields():
    info = parse(bytes(104))
    assert "retransmits" in info
    assert "pacing_rate" not in info
    assert "pacing_rate" not in parse(bytes(111))
    assert "pacing_rate" in parse(bytes(112))
    assert "app_limited" not in parse(bytes(160))


def test_a_least_round_trip_time_that_was_never_measured_is_none():
    raw = bytearray(232)
    struct.pack_into("=I", raw, 148, 0xFFFF_FFFF)
    assert "min_rtt_ns" not in parse(bytes(raw))


def test_congestion_controls_tell_of_themselves():
    bbr = struct.pack("=5I", 5, 1, 20_000, 739, 512)
    assert parse_congestion("bbr", bbr) == {
        "bbr_bw_bps": 8 * ((1 << 32) + 5),
        "bbr_min_rtt_ns": 20_000_000,
        "bbr_pacing_gain_percent": 288,
        "bbr_cwnd_gain_percent": 200,
    }
    dctcp = struct.pack("=HHIII", 1, 0, 512, 3000, 9000)
    found = parse_congestion("dctcp", dctcp)
    assert (found["dctcp_alpha"], found["dctcp_marked_bytes"], found["dctcp_acked_bytes"]) == (512, 3000, 9000)
    vegas = struct.pack("=4I", 1, 9, 41_000, 40_000)
    assert parse_congestion("vegas", vegas) == {"vegas_rtt_ns": 41_000_000, "vegas_min_rtt_ns": 40_000_000}


def test_a_congestion_control_without_state_adds_no_fields():
    assert parse_congestion("cubic", b"") == {}
    assert parse_congestion("bbr", b"") == {}
