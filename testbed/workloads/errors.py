"""What goes wrong with a workload."""

from __future__ import annotations

from testbed.errors import LabError


class WorkloadError(LabError):
    """A workload did not end as it should, or its record does not tell what happened: there is no summary."""
