import shutil
import subprocess

import pytest

from testbed.agent.capture import pcap

FRAME = bytes.fromhex(
    "0242c6120703 0242c6120702 0800"
    "4500 0024 0000 4000 4011 0000 c6120702 c6120703"  # IPv4: 36 bytes, UDP, from 198.18.7.2 to 198.18.7.3
    "1389 1389 0010 0000 3031323334353637"  # UDP: port 5001 to 5001, 16 bytes
)


@pytest.mark.skipif(not shutil.which("tcpdump"), reason="no tcpdump")
def test_tcpdump_reads_it(tmp_path):
    file = tmp_path / "made.pcap"
    whole = pcap.record(1_700_000_000, 123_456_789, FRAME, len(FRAME))
    beginning = pcap.record(1_700_000_001, 7, FRAME[:46], 1514)
    file.write_bytes(pcap.file_header(256) + whole + beginning)
    options = ["-n", "-tt", "-e", "--time-stamp-precision=nano", "-r", str(file)]
    done = subprocess.run(["tcpdump", *options], capture_output=True, text=True, check=True)
    assert "snapshot length 256" in done.stderr
    first, second = done.stdout.splitlines()
    assert first.startswith("1700000000.123456789 02:42:c6:12:07:02 > 02:42:c6:12:07:03")
    assert first.endswith("length 50: 198.18.7.2.5001 > 198.18.7.3.5001: UDP, length 8")
    assert second.startswith("1700000001.000000007 ")
    assert "length 1514" in second
