"""handshake: TCP connections, set up and closed; a kind of workload that is not the testbed's own."""

from testbed.kinds import Kind, Metric
from testbed.parameters import COUNT

KIND = Kind(
    name="handshake",
    package=__name__,
    keys="Handshake",
    summary="Handshake",
    metrics=(
        "setup_ns",
        Metric(name="handshakes", unit="handshakes", description="Connections that were set up and closed."),
    ),
    parameters={"count": COUNT},
)
