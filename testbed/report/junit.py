"""A run as JUnit XML, which CI systems read: a test case for each checked link or NAT, and for each expectation."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from testbed.analysis import formatting

if TYPE_CHECKING:
    from testbed.runs.run import Run

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 has no way to write (section 2.2)."""


def junit_report(*runs: Run) -> bytes:
    """Return the XML in UTF-8, a suite per run.

    Failures have measured and expected values; the output says why a run is not trusted.
    """
    suites = ET.Element("testsuites")
    for number, run in enumerate(runs, 1):
        suites.append(_suite(run, f"{run.plan.lab}, repetition {number}" if len(runs) > 1 else run.plan.lab))
    for count in ("tests", "failures", "errors"):
        suites.set(count, str(sum(int(suite.attrib[count]) for suite in suites)))
    ET.indent(suites)
    return ET.tostring(suites, encoding="unicode", xml_declaration=True).encode()


def _suite(run: Run, name: str) -> ET.Element:
    cases = [("links", check.full_name, check.passed, check.verdict) for check in run.checks]
    cases += [("nats", check.name, check.passed, check.verdict) for check in run.nats]
    for outcome in run.outcomes:
        found, wanted = formatting.outcome_cells(outcome)
        said = f"found {found}, wanted {wanted}" if outcome.reason is None else formatting.outcome_verdict(outcome)
        cases.append(("expect", outcome.expectation, outcome.passed, said))
    failures = sum(not passed for _, _, passed, _ in cases)
    counts = {"tests": str(len(cases)), "failures": str(failures), "errors": "0"}
    suite = ET.Element("testsuite", {"name": name, "timestamp": run.started, **counts})
    for group, case_name, passed, said in cases:
        case = ET.SubElement(suite, "testcase", {"classname": f"{run.plan.topology}.{group}", "name": case_name})
        if not passed:
            ET.SubElement(case, "failure", {"message": _NOT_XML.sub("?", said)})
    if run.distrust:
        ET.SubElement(suite, "system-out").text = _NOT_XML.sub("?", "\n".join(run.distrust))
    return suite
