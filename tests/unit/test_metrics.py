from testbed.metrics import METRICS


def test_labels():
    labels = {name: metric.label for name, metric in METRICS.items()}
    assert labels["goodput_bps"] == "goodput"
    assert labels["loss_ratio"] == "loss"
    assert labels["setup_ns"] == "setup"
    assert labels["first_byte_ns"] == "first_byte"
    assert labels["latency_p99_ns"] == "latency.p99"
    assert labels["pacing_late_p99_ns"] == "pacing_late.p99"
    assert labels["loss_run_mean"] == "loss_run.mean"
    assert labels["delivered_bytes"] == "delivered_bytes"
    assert labels["delivered"] == "delivered"


def test_no_two_metrics_have_the_same_label():
    assert len({metric.label for metric in METRICS.values()}) == len(METRICS)
