"""iperf3: the nodes' own, in the source as client and in the destination as server; all of its results are kept."""

from testbed.kinds import Kind
from testbed.workloads.kinds import MESSAGES

KIND = Kind(
    name="iperf3",
    package=__name__,
    keys="Iperf3",
    summary="Iperf3",
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
