"""Plans, checks and statistics as the tests of runs have them."""

from tests.unit.runs.conftest import download, make_check, plan, statistics, voice

__all__ = ["download", "make_check", "plan", "statistics", "voice"]
