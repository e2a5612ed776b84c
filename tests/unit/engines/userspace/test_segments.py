"""How frames of segmentation offload are cut; tests/live/test_segments.py compares it with the kernel."""

import pytest

from testbed.engines.userspace.core import LinkEmulator
from testbed.engines.userspace.headers import parse
from testbed.engines.userspace.segments import (
    COMPLETE,
    KINDS,
    VIRTIO,
    NoSegmentsError,
    SegmentTrain,
    Unsummed,
    joined,
    number_of,
    packet_of,
    sealed,
)
from testbed.impairments import CERTAIN, Bottleneck, FixedRate, Impairments, IndependentLoss
from tests.offloaded import datagrams, offloaded, stream

TAG = (0x50, 5, 0x8100)  # TP_STATUS_VLAN_VALID and TP_STATUS_VLAN_TPID_VALID


def train_of(protocol, size, segment, **rest):
    virtio, frame = offloaded(protocol, bytes(size), segment, **rest)
    train = packet_of(virtio, frame)
    assert isinstance(train, SegmentTrain)
    return train, virtio, frame


def cut(train):
    return [train.part(number, number + 1).packet() for number in range(train.count)]


@pytest.mark.parametrize("ipv6", [False, True], ids=["IPv4", "IPv6"])
@pytest.mark.parametrize("make", [stream, datagrams])
def test_packets_have_their_share_of_the_payload_and_right_checksums(frames, make, ipv6):
    train = make(2500, 1000, ipv6=ipv6)
    packets = cut(train)
    assert [len(packet) - parse(packet).payload for packet in packets] == [1000, 1000, 500]
    assert all(frames.is_sound(packet) for packet in packets)
    assert len(train) == sum(map(len, packets))
    payload = b"".join(packet[parse(packet).payload :] for packet in packets)
    assert payload == (bytes(range(256)) * 10)[:2500]


def test_sequence_numbers_identifications_and_flags_go_on_from_packet_to_packet():
    train, _, _ = train_of("tcp", 2500, 1000, flags="fpwa", identification=65534, sequence=2**32 - 1500)
    packets = cut(train)
    assert [int.from_bytes(packet[18:20], "big") for packet in packets] == [65534, 65535, 0]
    assert [int.from_bytes(packet[38:42], "big") for packet in packets] == [2**32 - 1500, 2**32 - 500, 500]
    assert [packet[47] for packet in packets] == [0b1001_0000, 0b0001_0000, 0b0001_1001]  # CWR ACK, ACK, ACK PSH FIN


def test_what_is_left_of_a_train_is_joined_where_nothing_is_missing():
    train, _, _ = train_of("tcp", 9500, 1000)
    parts = train.without([0, 4, 5, 9])
    assert [(part.first, part.count) for part in parts] == [(1, 3), (6, 3)]
    apart = [train.part(number, number + 1) for number in (1, 2, 3, 6, 7, 8)]
    again = joined([*apart, b"other", train.part(0, 1), train.part(0, 1)])
    assert [packet if isinstance(packet, bytes) else (packet.first, packet.count) for packet in again] == [
        (1, 3),
        (6, 3),
        b"other",
        (0, 1),
        (0, 1),
    ]
    assert [len(packet) for packet in again[:2]] == [len(part) for part in parts]


def test_a_whole_train_is_sent_as_it_came():
    train, virtio, frame = train_of("tcp", 5000, 1000)
    assert train.buffers() == (virtio, frame)


def test_a_part_of_a_train_says_how_many_packets_it_is():
    train, _, _ = train_of("tcp", 5000, 1000, flags="wa")
    for start, stop, kind, segment in ((0, 2, 0x81, 1000), (1, 3, 1, 1000), (3, 5, 1, 1000), (4, 5, 0, 0)):
        head, payload = train.part(start, stop).buffers()
        assert VIRTIO.unpack(head[:10]) == (1, kind, 54, segment, 34, 16)
        assert len(payload) == 1000 * (stop - start)


def test_a_tag_that_the_kernel_took_out_is_in_every_packet():
    virtio, frame = offloaded("tcp", bytes(2500), 1000)
    train = packet_of(virtio, frame, TAG)
    assert isinstance(train, SegmentTrain)
    assert {packet[12:16] for packet in cut(train)} == {b"\x81\x00\x00\x05"}
    assert VIRTIO.unpack(train.buffers()[0]) == (1, 1, 58, 1000, 38, 16)


@pytest.mark.parametrize(
    "change",
    [
        {"kind": 3},  # UFO
        {"kind": 4},  # TCP over IPv6
        {"kind": 5, "offset": 16},
        {"segment": 0},
        {"flags": 0},
        {"start": 50},
        {"offset": 6},
    ],
)
def test_what_can_not_be_told_apart_is_refused(change):
    virtio, frame = offloaded("tcp", bytes(2500), 1000)
    names = ("flags", "kind", "head", "segment", "start", "offset")
    changed = dict(zip(names, VIRTIO.unpack(virtio), strict=True)) | change
    with pytest.raises(NoSegmentsError):
        packet_of(VIRTIO.pack(*changed.values()), frame)


def test_a_frame_in_a_tunnel_is_refused():
    virtio, frame = offloaded("tcp", bytes(2500), 1000)
    outer = frame[:14] + b"\x45\0" + (len(frame) + 6).to_bytes(2, "big") + bytes(5) + b"\x04" + bytes(10) + frame[14:]
    flags, kind, head, segment, start, offset = VIRTIO.unpack(virtio)
    with pytest.raises(NoSegmentsError):
        packet_of(VIRTIO.pack(flags, kind, head + 20, segment, start + 20, offset), outer)


@pytest.mark.parametrize("ipv6", [False, True], ids=["IPv4", "IPv6"])
@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_an_unfinished_checksum_is_kept_and_finished_for_those_who_change_the_packet(frames, protocol, ipv6):
    virtio, frame = offloaded(protocol, b"odd", 1000, ipv6=ipv6)
    _, _, _, _, start, offset = VIRTIO.unpack(virtio)
    header = VIRTIO.pack(1, 0, 0, 0, start, offset)
    packet = KINDS[header](frame)
    assert isinstance(packet, Unsummed)
    assert packet.header == header
    assert not frames.is_sound(packet)
    assert frames.is_sound(sealed(packet))
    assert number_of(packet) == 1
    assert packet_of(header, frame) == sealed(packet)
    assert packet_of(COMPLETE, frame) == frame


@pytest.mark.parametrize(("start", "stop"), [(0, 5), (0, 1), (1, 3), (3, 5), (4, 5)])
def test_a_part_in_a_frame_of_its_own_is_the_same_packets(start, stop):
    train, _, _ = train_of("tcp", 4300, 1000, flags="fpwa")
    alone = train.part(start, stop).alone()
    assert cut(alone) == cut(train)[start:stop]
    assert len(alone) == sum(map(len, cut(alone)))
    assert len(alone.source.data) < 1100 * (stop - start)


def test_few_packets_that_are_kept_do_not_hold_the_memory_of_the_others():
    lossy = LinkEmulator(Impairments(delay_ns=1, loss=IndependentLoss(probability=CERTAIN // 100 * 95)), 1, 0)
    full = LinkEmulator(Impairments(bottleneck=Bottleneck(rate=FixedRate(bps=1000), queue_bytes=3000)), 1, 0)
    for link in (lossy, full):
        train, _, _ = train_of("tcp", 60_000, 1000)
        link.accept([train], 0)
        kept = link.release(10**12, 100)
        assert 0 < sum(map(number_of, kept)) < 10
        assert all(
            len(packet.source.data) <= 4 * len(packet) for packet in kept[1:] if isinstance(packet, SegmentTrain)
        )
