"""Sweeps: runs of a file with every combination of some values, several times each, and their results.

results/sweeps/NAME-DIGEST/       the same for the same file and options, so that what was interrupted goes on
    sweep.json                    the cells, their runs and what these tell, see `testbed.sweep.record`
    sweep.html                    the same to look at
    NAME-DIGEST-3/TIME-ID/        the runs of a cell, by its number; each is a run as any other
"""

from testbed.analysis.measures import Measure, measures
from testbed.sweep.execution import carry_out
from testbed.sweep.matrix import Cell, Matrix, Trial, matrix
from testbed.sweep.observer import SweepObserver
from testbed.sweep.outcome import SweepOutcome

__all__ = ["Cell", "Matrix", "Measure", "SweepObserver", "SweepOutcome", "Trial", "carry_out", "matrix", "measures"]
