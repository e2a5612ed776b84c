"""Plans, runs and sweeps as their own tests have them, and what a figure shows."""

from tests.unit.runs.conftest import make_check, plan, statistics, voice
from tests.unit.sweep.conftest import file, keep, make, outcome_of

__all__ = ["file", "keep", "make", "make_check", "outcome_of", "plan", "statistics", "voice"]
