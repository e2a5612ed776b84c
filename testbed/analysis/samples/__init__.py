"""The samples of a run, read in bounded memory: messages, flows, and columns over time, each in bins."""

from testbed.analysis.samples.messages import BinnedMessages, BinnedPayload
from testbed.analysis.samples.reading import RecordedSamples, Samples, read, read_all
from testbed.analysis.samples.series import Series

__all__ = ["BinnedMessages", "BinnedPayload", "RecordedSamples", "Samples", "Series", "read", "read_all"]
