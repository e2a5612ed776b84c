import json

from testbed.analysis.formatting import captures_text
from testbed.runs import Run, RunWriter, load
from testbed.runs.capture_records import CaptureRecord


def made(**changes):
    found = {
        "node": "client",
        "network": "wan",
        "interface": "eth0",
        "file": "captures/client-wan.pcap",
        "packets": 12_345,
        "dropped": 0,
        "overwritten": 0,
        "size_bytes": 3_400_000,
        "snap_bytes": 256,
        "cpu_ns": 8_000_000,
        "clock_offset_ns": (1_795_377_607_127_660_180, 1_795_377_607_127_660_186),
    }
    return CaptureRecord(**{**found, **changes})


def test_a_run_keeps_the_records_of_its_captures(tmp_path, plan):
    captures = (made(), made(node="server", dropped=3))
    with RunWriter(tmp_path, plan, runtime="netns") as writer:
        writer.captured(captures)
        writer.finished([], [])
    assert load(writer.run.path).captures == captures


def test_a_run_of_an_older_version_has_no_captures(tmp_path, plan):
    with RunWriter(tmp_path, plan, runtime="netns") as writer:
        writer.finished([], [])
    data = json.loads((writer.run.path / "run.json").read_text())
    del data["captures"]
    assert Run.from_json(data, writer.run.path).captures == ()


def test_packets_that_are_missing_from_captures_are_counted():
    assert captures_text([made()]) == "12,345 packets, 3.4 MB"
    some = [made(dropped=2, overwritten=1_000), made(dropped=1)]
    assert captures_text(some) == (
        "24,690 packets in 2 files, 6.8 MB, 3 DROPPED by the kernel, 1,000 older ones overwritten"
    )
