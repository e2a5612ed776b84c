"""The kinds of workload, a package each; `testbed.kinds` says what such a package has. Here: what several declare."""

MESSAGES = ("sent", "delivered", "lost", "loss_ratio")
"""The metrics of kinds that send messages."""

LATENCIES = ("latency_min_ns", "latency_p50_ns", "latency_p90_ns", "latency_p99_ns", "latency_max_ns")

LOSSES = ("duplicates", "loss_runs", "loss_run_mean", "loss_run_max")
"""The metrics of kinds whose messages are lost for good."""

BYTES = ("sent_bytes", "delivered_bytes", "goodput_bps", "first_byte_ns")

TCP = ("setup_ns", "tls_ns", "connections", "retransmits", "rtt_min_ns", "rtt_p50_ns", "congestion")
"""The metrics of connections between endpoints of ours."""

FOREIGN = ("receiver_drops", "corrupted", "strangers")
"""The metrics of UDP sockets."""
