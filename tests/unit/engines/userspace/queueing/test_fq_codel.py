from collections import Counter

from testbed.engines.userspace.core import LinkEmulator
from testbed.engines.userspace.headers import parse, ports
from testbed.impairments import (
    Bottleneck,
    FixedRate,
    FqCoDel,
    Impairments,
)

MS = 10**6
RATE = 8_000_000  # 1000 bytes in 1 ms


def fair(queue_bytes=10**7, seed=1, **more):
    discipline = FqCoDel(**more)
    return LinkEmulator(
        Impairments(bottleneck=Bottleneck(rate=FixedRate(bps=RATE), queue_bytes=queue_bytes, discipline=discipline)),
        seed,
        0,
    )


def packet(frames, port, size=1000):
    return frames.make("udp", ports=(port, 9), payload=bytes(size - 42))


def port(packet):
    return ports(packet, parse(packet))[0]


def drain(link, until=1 << 60):
    out = []
    while (wakeup := link.next_wakeup()) is not None and wakeup <= until:
        out += [(wakeup, port(packet)) for packet in link.release(wakeup, 1)]
    return out


def test_flows_share_the_rate_by_bytes(frames):
    link = fair()
    for _ in range(200):
        link.accept([packet(frames, 1), packet(frames, 1), packet(frames, 2), packet(frames, 3, 500)], 0)
    sent = Counter(port for _, port in drain(link, 90 * MS))
    assert abs(sent[1] - 30) <= 2
    assert abs(sent[2] - 30) <= 2
    assert abs(sent[3] - 60) <= 3


def test_a_sparse_flow_waits_only_for_the_frame_being_sent(frames):
    link = fair()
    link.accept([packet(frames, 1)] * 100, 0)
    drain(link, 10 * MS)
    link.accept([packet(frames, 2)], 10 * MS + 1)
    assert next(time for time, port in drain(link) if port == 2) == 12 * MS


def test_a_full_queue_drops_from_the_head_of_the_longest_flow(frames):
    link = fair(queue_bytes=10_000)
    link.accept([packet(frames, 2)], 0)  # is sent
    link.accept([packet(frames, 2)] * 2 + [packet(frames, 1)] * 9, 0)
    stats = link.stats()
    drain(link)
    stats = link.stats()
    assert stats.queue_drops == 5  # half of nine, rounded up
    assert stats.packets_out == 12 - 5


def test_each_flow_has_its_own_codel(frames):
    link = fair()
    out: Counter[int] = Counter()
    for now in range(0, 1000 * MS, MS):
        link.accept([packet(frames, 1)] * 2, now)
        if now % (10 * MS) == 0:
            link.accept([packet(frames, 2)], now)
        out.update(port for _, port in drain(link, now))
    assert link.stats().early_drops > 10
    assert out[2] >= 99


def test_the_seed_decides_which_flows_share_a_queue(frames):
    def order(seed):
        link = fair(seed=seed)
        link.accept([packet(frames, port) for port in range(1, 2001) for _ in range(2)], 0)
        return [port for _, port in drain(link)]

    assert order(1) == order(1) != order(2)


def test_a_flow_keeps_its_order(frames):
    link = fair()
    marked = [packet(frames, 1)[:-4] + number.to_bytes(4, "big") for number in range(50)]
    link.accept([one for mark in marked for one in (mark, packet(frames, 2))], 0)
    sent = []
    while (wakeup := link.next_wakeup()) is not None:
        sent += [one for one in link.release(wakeup, 1) if port(one) == 1]
    assert sent == marked
