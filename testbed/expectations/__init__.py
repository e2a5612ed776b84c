"""Expectations of a topology, such as `voice.loss <= 5%`: parsing, and evaluation against measured metrics.

    expectation = side comparison side          the left side has a metric at least
    side        = term { ("+" | "-") term }
    term        = [ number "*" ] workload.metric | number [ unit ]
    comparison  = ">=" | "<=" | ">" | "<" | "==" | "!="

Metrics go by their labels (`testbed.metrics.Metric.label`). Where the members of a group of nodes run the workload, an
aggregate follows: `download.goodput.median` (`testbed.kinds.Metric.aggregates`). All terms have the same unit; a number
without one is a count, and 0 is anything. Numbers are exact: neither 5 % nor 0.1 ms is rounded to what a float holds.
"""

from testbed.expectations.evaluation import ExpectationOutcome, evaluate
from testbed.expectations.parser import Expectation, ExpectationError, parse

__all__ = ["Expectation", "ExpectationError", "ExpectationOutcome", "evaluate", "parse"]
