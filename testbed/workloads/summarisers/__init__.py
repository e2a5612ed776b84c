"""Turn the events of a record into a summary: the parts that the classes of several kinds share."""

from testbed.workloads.summarisers.base import Base, Summariser

__all__ = ["Base", "Summariser"]
