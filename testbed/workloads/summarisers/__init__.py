"""From the lines of a record to a summary, one class per kind; bounded by the record's columns, not its lines."""

from testbed.workloads.summarisers.base import Base, Summariser

__all__ = ["Base", "Summariser"]
