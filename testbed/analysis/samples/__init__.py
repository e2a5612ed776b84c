"""The samples of a run, read in bounded memory: messages, flows, and columns over time, each in bins."""

from testbed.analysis.samples.messages import Flow, Messages
from testbed.analysis.samples.reading import Recorded, Samples, read, read_all
from testbed.analysis.samples.series import Series

__all__ = ["Flow", "Messages", "Recorded", "Samples", "Series", "read", "read_all"]
