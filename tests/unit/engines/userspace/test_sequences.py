"""What a seed decides stays the same from version to version: a run that is repeated loses the same packets.

The digests are pinned: code that changes one of them breaks the repetition of every stored run.
"""

import hashlib

import pytest

from testbed.engines.userspace.core import LinkEmulator
from testbed.topology.impairments import ImpairmentKeys

MS = 10**6

SEQUENCES = [
    ({"loss": "5%"}, "11d6d208bc93feb3"),
    ({"loss": "100%"}, "e3b0c44298fc1c14"),
    ({"blackhole": True}, "e3b0c44298fc1c14"),
    ({"loss": {"rate": "5%", "correlation": "25%"}}, "5355f8493b74cbc2"),
    ({"loss": {"rate": "5%", "burst": "4"}}, "e472391924fba5da"),
    ({"loss": {"to_bad": "2%", "to_good": "30%", "good": "1%", "bad": "60%"}}, "d0670bad62370616"),
    ({"loss": {"p13": "3%", "p31": "40%", "p32": "20%", "p23": "50%", "p14": "1%"}}, "8d435517ca148fcc"),
    ({"drop": {"every": 97}}, "2a5aa31263c24586"),
    ({"delay": "20ms", "jitter": "5ms"}, "16943cc2e4d12807"),
    (
        {"delay": "20ms", "jitter": {"spread": "5ms", "distribution": "normal", "correlation": "25%"}},
        "6d4f7777098abe0e",
    ),
    (
        {"delay": "20ms", "jitter": {"spread": "5ms", "distribution": "paretonormal", "order": "free"}},
        "ad7b4df4d37caeb2",
    ),
    ({"duplicate": "5%"}, "39c71281994c6770"),
    ({"duplicate": {"rate": "5%", "correlation": "25%"}}, "bb5b3ef592cdd7c3"),
    ({"corrupt": "5%"}, "c1910fa389924210"),
    ({"corrupt": {"rate": "5%", "correlation": "25%", "checksum": "fix"}}, "96d0e27c9e2414bf"),
    ({"delay": "20ms", "reorder": "5%"}, "c743c884b5986b5b"),
    ({"reorder": {"rate": "5%", "correlation": "25%", "gap": 3, "late": "7ms"}}, "2e10f02f81352b79"),
    ({"rate": "4mbit", "queue": "20ms"}, "8fa99ef29064bdb3"),
    ({"rate": "3mbit", "queue": {"limit": "64KB", "discipline": "drophead"}}, "4e263f5d4d08b402"),
    ({"rate": "3mbit", "overhead": "24B", "queue": {"limit": "64KB", "discipline": "codel"}}, "16de9ebeff25553b"),
    (
        {"rate": "3mbit", "queue": {"limit": "64KB", "discipline": "fq_codel", "target": "2ms", "interval": "40ms"}},
        "d315193e3387ecec",
    ),
    (
        {
            "delay": "9ms",
            "jitter": "3ms",
            "loss": {"rate": "5%", "burst": "3"},
            "duplicate": "3%",
            "corrupt": "3%",
            "reorder": "2%",
            "drop": [1, 5],
            "rate": "6mbit",
            "queue": "30ms",
        },
        "2d53d5c576222423",
    ),
]


def frame(number):
    """A UDP datagram over IPv4 of 500 bytes with a number in its payload."""
    header = bytes(12) + b"\x08\x00\x45\x00" + (500).to_bytes(2, "big") + bytes(5) + b"\x11" + bytes(10)
    return header + bytes([number % 5]) + bytes(4) + number.to_bytes(4, "big") + bytes(480 - 8)


def carried(keys):
    """When which bytes leave a link with seed 7 that is given 2000 frames, one every millisecond."""
    impairments = ImpairmentKeys.model_validate(keys).resolve(mtu=1500, delay_back_ns=0)
    link = LinkEmulator(impairments, 7, 0)
    out = []
    for number in range(2000):
        link.accept([frame(number)], number * MS)
    while (wakeup := link.next_wakeup()) is not None:
        out += [(wakeup, packet) for packet in link.release(wakeup, 1)]
    return out


def digest(out):
    content = b"".join(time.to_bytes(8, "big") + packet for time, packet in out)
    return hashlib.sha256(content).hexdigest()[:16]


@pytest.mark.parametrize(("keys", "expected"), SEQUENCES)
def test_a_seed_gives_the_pinned_sequence(keys, expected):
    assert digest(carried(keys)) == expected
