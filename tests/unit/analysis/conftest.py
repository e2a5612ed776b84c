"""Plans, checks and statistics as the tests of runs have them."""

from tests.unit.runs.conftest import download, make_check, plan, statistics, voice
from tests.unit.sweep.conftest import file, make

__all__ = ["download", "file", "make", "make_check", "plan", "statistics", "voice"]
