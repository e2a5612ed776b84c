"""Compute how long an endpoint waits for the other end before it fails.

TCP and QUIC retransmit after a time-out that starts as a multiple of the round trip and doubles each time. If an
endpoint gave up earlier, a long path or a few losses in a row would look like a failure.
"""

SECOND = 1_000_000_000

STALL_NS = 60 * SECOND
"""The shortest time without progress after which a connection counts as stalled."""

_RETRANSMISSIONS = 8
"""The retransmissions of one packet after which a connection counts as stalled. With 20 % loss in both directions, one
packet in 10,000 needs more."""

_LEAST_TIMEOUT_NS, _MOST_TIMEOUT_NS = SECOND // 5, 120 * SECOND
"""The bounds of TCP's retransmission time-out (TCP_RTO_MIN and TCP_RTO_MAX of include/net/tcp.h)."""


def stall_ns(round_trip_ns: int) -> int:
    """Return how long a connection may make no progress: the time of eight retransmissions with doubling time-outs.

    The first time-out is three round trips, that of TCP after its first measurement of the round trip (RFC 6298, 2.2)
    and that of QUIC (RFC 9002, 5.3 and 6.2.1).

    Args:
        round_trip_ns: the longest round trip of the path.
    """
    first_ns = max(_LEAST_TIMEOUT_NS, 3 * round_trip_ns)
    waits_ns = (min(first_ns << doubled, _MOST_TIMEOUT_NS) for doubled in range(_RETRANSMISSIONS))
    return max(STALL_NS, round_trip_ns + sum(waits_ns))
