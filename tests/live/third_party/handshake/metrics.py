"""What is measured of it: one metric of the testbed's, and one of its own."""

from testbed.metrics import Metric

METRICS = (
    "setup_ns",
    Metric(name="handshakes", unit="handshakes", description="Connections that were set up and closed."),
)
