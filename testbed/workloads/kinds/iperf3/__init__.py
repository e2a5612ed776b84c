"""iperf3: the nodes' own program, as client in the source and server in the destination; all results are kept."""

from testbed.kinds import Kind
from testbed.workloads.kinds import MESSAGES

KIND = Kind(
    name="iperf3",
    package=__name__,
    protocols=("tcp", "udp"),
    keys="Iperf3",
    summary="Iperf3Summariser",
    metrics=(
        *MESSAGES,
        "sent_bytes",
        "delivered_bytes",
        "goodput_bps",
        "retransmits",
        "congestion",
        "reordered",
        "jitter_ns",
    ),
    by_endpoint=False,
)
