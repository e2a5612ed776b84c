"""The error of a workload."""

from __future__ import annotations

from testbed.errors import LabError


class WorkloadError(LabError):
    """A workload failed, or its record is incomplete, so there is no summary."""
