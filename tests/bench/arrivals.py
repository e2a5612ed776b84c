"""How fast a TCP stream arrives, from what tcpdump prints of it."""

import re
import statistics

SEGMENT = 1448
"""Bytes of payload in a packet, with time stamps (RFC 7323), where the MTU is 1500."""

HEADERS = 14 + 20 + 32
"""Bytes of a packet besides: Ethernet, IPv4, TCP with time stamps."""

WINDOW_S = 0.05


def stream_bps(text: str) -> float:
    """The median, over 50 ms each, of the bits per second that arrive; with all headers, as a link counts them.

    Args:
        text: what `tcpdump -nn -tt` prints. A frame of several packets has full ones, but for the last.
    """
    seen = [(float(at), int(size)) for at, size in re.findall(r"^([\d.]+) .* length (\d+)", text, re.MULTILINE)]
    rates = []
    start, total = seen[0][0], 0
    for at, size in seen[1:]:
        total += size + max(-(-size // SEGMENT), 1) * HEADERS
        if at - start >= WINDOW_S:
            rates.append(8 * total / (at - start))
            start, total = at, 0
    return statistics.median(rates)
