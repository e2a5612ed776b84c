"""command: any program in a node; its output is kept, and lines of JSON are samples."""

from testbed.kinds import Kind

KIND = Kind(
    name="command",
    package=__name__,
    keys="Command",
    summary="CommandSummariser",
    metrics=("duration_ns", "samples", "lines"),
    by_endpoint=False,
    has_server=False,
    reports_numbers=True,
)
