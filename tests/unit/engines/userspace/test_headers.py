import pytest

from testbed.engines.userspace import headers

KINDS = [(protocol, ipv6) for protocol in ("tcp", "udp") for ipv6 in (False, True)]


@pytest.mark.parametrize(("protocol", "ipv6"), [*KINDS, ("icmp", False), ("icmp", True), ("arp", False)])
def test_a_frame_is_of_its_protocol(frames, protocol, ipv6):
    assert headers.parse(frames.make(protocol, ipv6=ipv6, payload=b"x")).protocol == protocol


@pytest.mark.parametrize(("protocol", "ipv6"), KINDS)
def test_ports_and_payload_are_found(frames, protocol, ipv6):
    frame = frames.make(protocol, ipv6=ipv6, ports=(5, 600), payload=b"payload")
    parsed = headers.parse(frame)
    assert headers.ports(frame, parsed) == (5, 600)
    assert frame[parsed.payload : parsed.end] == b"payload"


@pytest.mark.parametrize(("protocol", "ipv6"), KINDS)
def test_padding_is_no_payload(frames, protocol, ipv6):
    assert headers.parse(frames.make(protocol, ipv6=ipv6, padding=20)).payload == 0


def test_tcp_flags_are_those_of_the_header(frames):
    frame = frames.make("tcp", flags="sa")
    assert headers.tcp_flags(frame, headers.parse(frame)) == 0b010010
    frame = frames.make("udp", payload=b"\xff" * 20)
    assert headers.tcp_flags(frame, headers.parse(frame)) == 0


def test_only_the_first_fragment_has_ports_and_all_are_of_one_flow(frames):
    first, later = frames.make("udp", fragment=0x2000, payload=b"x"), frames.make("udp", fragment=100, payload=b"x")
    assert headers.ports(first, headers.parse(first)) == (1024, 80)
    assert headers.ports(later, headers.parse(later)) == (0, 0)
    assert headers.parse(later).payload == 34
    assert headers.parse(first).flow == headers.parse(later).flow


def test_ipv6_extension_headers_are_passed_over(frames):
    frame = frames.make("udp", ipv6=True, payload=b"payload")
    options = b"\x2c\x00\x01\x04\x00\x00\x00\x00" + b"\x11\x00\x00\x01\x00\x00\x00\x07"  # hop by hop, first fragment
    length = (int.from_bytes(frame[18:20], "big") + len(options)).to_bytes(2, "big")
    parsed = headers.parse(frame[:18] + length + b"\x00" + frame[21:54] + options + frame[54:])
    assert parsed.protocol == "udp"
    assert parsed.transport == 54 + 16


@pytest.mark.parametrize(("protocol", "ipv6"), KINDS)
def test_a_frame_cut_off_anywhere_is_other_and_harmless(frames, protocol, ipv6):
    frame = frames.make(protocol, ipv6=ipv6, payload=b"payload")
    for length in range(len(frame)):
        parsed = headers.parse(frame[:length])
        assert parsed.protocol == "other"
        assert headers.ports(frame[:length], parsed) == (0, 0)
        assert headers.congestion_marked(frame[:length]) is None


def test_flows_differ_by_port_and_host(frames):
    flows = {headers.parse(frames.make("udp", ports=(port, 80))).flow for port in (1, 2, 3)}
    assert len(flows) == 3


@pytest.mark.parametrize("ipv6", [False, True])
@pytest.mark.parametrize(("ecn", "marked"), [(0, None), (1, 3), (2, 3), (3, 3)])
def test_a_mark_is_congestion_experienced_and_the_checksum_fits(frames, ipv6, ecn, marked):
    frame = frames.make("tcp", ipv6=ipv6, tos=0b10100 | ecn, payload=b"odd")
    assert frames.is_sound(frame)
    out = headers.congestion_marked(frame)
    if marked is None:
        assert out is None
    else:
        assert out == frames.make("tcp", ipv6=ipv6, tos=0b10100 | marked, payload=b"odd")


@pytest.mark.parametrize(("protocol", "ipv6"), KINDS)
def test_an_unseen_error_changes_one_bit_of_the_payload_and_the_checksum_fits(frames, protocol, ipv6):
    frame = frames.make(protocol, ipv6=ipv6, payload=b"\x00\xff\x5a")
    parsed = headers.parse(frame)
    for byte in range(parsed.payload, parsed.end):
        for bit in range(8):
            out = headers.inverted_unseen(frame, parsed, byte, bit)
            assert frames.is_sound(out)
            assert out[parsed.payload :] == headers.inverted(frame, byte, bit)[parsed.payload :]
            assert not frames.is_sound(headers.inverted(frame, byte, bit))


TAGS = [bytes.fromhex(tags) for tags in ("", "81000320", "88a80321", "8100a000", "88a80064810000c8")]


def tagged(frame, tags):
    return frame[:12] + tags + frame[12:]


@pytest.mark.parametrize("tags", TAGS)
@pytest.mark.parametrize(("protocol", "ipv6"), [*KINDS, ("icmp", False), ("icmp", True), ("arp", False)])
def test_behind_vlan_tags_everything_is_where_it_would_be_without(frames, protocol, ipv6, tags):
    frame = frames.make(protocol, ipv6=ipv6, ports=(5, 600), flags="sa", payload=b"payload")
    plain, parsed = headers.parse(frame), headers.parse(tagged(frame, tags))
    assert parsed.protocol == plain.protocol
    for name in ("network", "end", "transport", "payload"):
        assert getattr(parsed, name) == (getattr(plain, name) and getattr(plain, name) + len(tags))
    assert headers.ports(tagged(frame, tags), parsed) == headers.ports(frame, plain)
    assert headers.tcp_flags(tagged(frame, tags), parsed) == headers.tcp_flags(frame, plain)


@pytest.mark.parametrize("tags", TAGS)
@pytest.mark.parametrize(("protocol", "ipv6"), KINDS)
def test_behind_vlan_tags_marks_and_unseen_errors_are_those_of_the_packet(frames, protocol, ipv6, tags):
    frame = frames.make(protocol, ipv6=ipv6, tos=2, payload=b"payload")
    assert headers.congestion_marked(tagged(frame, tags)) == tagged(headers.congestion_marked(frame), tags)
    plain, parsed = headers.parse(frame), headers.parse(tagged(frame, tags))
    spoilt = headers.inverted_unseen(tagged(frame, tags), parsed, parsed.payload + 2, 3)
    assert spoilt == tagged(headers.inverted_unseen(frame, plain, plain.payload + 2, 3), tags)


def test_vlans_are_separate_flows(frames):
    assert len({headers.parse(tagged(frames.make("udp"), tags)).flow for tags in TAGS}) == len(TAGS)


@pytest.mark.parametrize("tags", TAGS)
def test_a_tagged_frame_cut_off_anywhere_is_other_and_harmless(frames, tags):
    frame = tagged(frames.make("tcp", payload=b"payload"), tags)
    for length in range(len(frame)):
        assert headers.parse(frame[:length]).protocol == "other"
        assert headers.congestion_marked(frame[:length]) is None


def test_udp_without_a_checksum_stays_so(frames):
    frame = bytearray(frames.make("udp", payload=b"payload"))
    frame[40:42] = b"\0\0"
    out = headers.inverted_unseen(bytes(frame), headers.parse(bytes(frame)), 45, 3)
    assert out == headers.inverted(bytes(frame), 45, 3)


def test_rfc_1624_section_4_example():
    assert headers.updated_checksum(0xDD2F, 0x5555, 0x3285) == 0x0000
