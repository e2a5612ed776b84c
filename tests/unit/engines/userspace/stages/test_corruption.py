import pytest

from testbed.engines.userspace.core import LinkEmulator
from testbed.impairments import (
    CERTAIN,
    Corruption,
    Impairments,
    RandomEvent,
)

ALWAYS = RandomEvent(probability=CERTAIN)


def carried(packets, corruption, seed=7):
    link = LinkEmulator(Impairments(corruption=corruption), seed, 0)
    link.accept(packets, 0)
    return link.release(0, len(packets)), link.stats().corrupted


def changed_bits(one, other):
    return [
        8 * index + bit
        for index, (left, right) in enumerate(zip(one, other, strict=True))
        for bit in range(8)
        if (left ^ right) >> bit & 1
    ]


def test_one_bit_of_the_ip_packet_is_inverted_and_all_can_be(frames):
    frame = frames.make("udp", payload=b"four", padding=14)
    out, corrupted = carried([frame] * 10_000, Corruption(event=ALWAYS))
    bits = [changed_bits(frame, packet) for packet in out]
    assert corrupted == 10_000
    assert {len(each) for each in bits} == {1}
    assert {each[0] for each in bits} == set(range(14 * 8, (14 + 20 + 8 + 4) * 8))


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_with_the_checksum_made_to_fit_only_the_payload_differs(frames, protocol):
    frame = frames.make(protocol, payload=b"four", padding=14)
    out, _ = carried([frame] * 1000, Corruption(event=ALWAYS, fix_checksum=True))
    start = frame.index(b"four")
    assert all(frames.is_sound(packet) for packet in out)
    assert {changed_bits(frame[start:], packet[start:])[0] for packet in out} == set(range(32))


def test_frames_without_such_a_bit_pass_as_they_are(frames):
    untouched = [frames.make("arp"), bytes(60)]
    assert carried(untouched, Corruption(event=ALWAYS)) == (untouched, 0)
    untouched += [frames.make("icmp", payload=b"x"), frames.make("tcp"), frames.make("udp", payload=b"x", fragment=9)]
    assert carried(untouched, Corruption(event=ALWAYS, fix_checksum=True)) == (untouched, 0)


def test_a_seed_corrupts_these_bits_in_every_version(frames):
    frame = frames.make("udp", payload=bytes(100))
    out, corrupted = carried([frame] * 20, Corruption(event=RandomEvent(probability=CERTAIN // 4)))
    found = {place: changed_bits(frame, packet)[0] for place, packet in enumerate(out) if packet != frame}
    assert len(found) == corrupted
    assert found == {0: 1075, 1: 1007, 4: 876, 8: 859, 11: 158, 14: 1130}
