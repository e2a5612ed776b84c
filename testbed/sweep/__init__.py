"""Sweeps: a file run with every combination of some values, several times, and what came of each.

results/sweeps/NAME-DIGEST/       the same for the same file and options, so that what was interrupted goes on
    sweep.json                    the cells, their runs and what these tell, see `testbed.sweep.outcome.Outcome.to_json`
    sweep.html                    the same to look at
    NAME-DIGEST-3/TIME-ID/        the runs of a cell, by its number; each is a run as any other
"""

from testbed.sweep.matrix import Cell, Matrix, Trial, matrix
from testbed.sweep.measures import Measure, measures
from testbed.sweep.outcome import Outcome
from testbed.sweep.running import SweepObserver, carry_out

__all__ = ["Cell", "Matrix", "Measure", "Outcome", "SweepObserver", "Trial", "carry_out", "matrix", "measures"]
