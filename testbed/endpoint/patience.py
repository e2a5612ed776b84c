"""How long an endpoint waits for the other one before it gives up.

TCP and QUIC send again what is lost after a time that begins as a multiple of the round trip and doubles each time. To
give up earlier than they need to would turn a long path, or a few losses in a row, into a failure.
"""

SECOND = 1_000_000_000

STALL_NS = 60 * SECOND
"""Without progress for less than this nothing is given up."""

_RETRANSMISSIONS = 8
"""How often the same packet may be sent again, in vain, before the connection counts as stalled: where 20 % are lost in
either direction, that happens to one packet in 10,000."""

_LEAST_TIMEOUT_NS, _MOST_TIMEOUT_NS = SECOND // 5, 120 * SECOND
"""The bounds of TCP's retransmission time-out (TCP_RTO_MIN and TCP_RTO_MAX of include/net/tcp.h)."""


def stall_ns(round_trip_ns: int) -> int:
    """How long a connection may make no progress: the time of eight retransmissions, each waiting twice as long.

    The first waits for three round trips, which is TCP's time-out after it has measured the first of them (RFC 6298,
    2.2), and QUIC's (RFC 9002, 5.3 and 6.2.1).

    Args:
        round_trip_ns: the longest of the path.
    """
    first_ns = max(_LEAST_TIMEOUT_NS, 3 * round_trip_ns)
    waits_ns = (min(first_ns << doubled, _MOST_TIMEOUT_NS) for doubled in range(_RETRANSMISSIONS))
    return max(STALL_NS, round_trip_ns + sum(waits_ns))
