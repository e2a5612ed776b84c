"""The kinds of workload, one package each (see `testbed.kinds`), and the names of metrics that several kinds share."""

MESSAGES = ("sent", "delivered", "lost", "loss_ratio")
"""The metrics of kinds that send messages."""

LATENCIES = ("latency_min_ns", "latency_p50_ns", "latency_p90_ns", "latency_p99_ns", "latency_max_ns")

LOSSES = ("duplicates", "loss_runs", "loss_run_mean", "loss_run_max")
"""The metrics of kinds that do not retransmit lost messages."""

BYTES = ("sent_bytes", "delivered_bytes", "goodput_bps", "first_byte_ns")

TCP = ("setup_ns", "tls_ns", "connections", "retransmits", "rtt_min_ns", "rtt_p50_ns", "congestion")
"""The metrics of TCP connections between endpoints."""

FOREIGN = ("receiver_drops", "corrupted", "strangers")
"""The metrics of UDP sockets."""
