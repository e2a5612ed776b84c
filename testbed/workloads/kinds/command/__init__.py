"""command: any program in a node; what it writes is kept, and is samples where it is JSON."""

from testbed.kinds import Kind

KIND = Kind(
    name="command",
    package=__name__,
    keys="Command",
    summary="Command",
    metrics=("duration_ns", "samples", "lines"),
    by_endpoint=False,
    has_server=False,
    reports_numbers=True,
)
